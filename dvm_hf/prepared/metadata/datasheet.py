"""The answers to *Datasheets for Datasets* (Gebru et al., 2021) that a build knows, for the dataset card."""

from collections.abc import Callable, Sequence

from dvm_hf.dataset.content_digest import split_digest
from dvm_hf.prepared.manifest import PreparedSplit
from dvm_hf.prepared.plans.shard_plan import planned_config
from dvm_hf.wording import counted

INTRODUCTION = """\
Answers of [Datasheets for Datasets](https://arxiv.org/abs/1803.09010) that the build knows. Before you publish this
dataset, add its motivation and uses, which people can be seen, and who maintains it."""
LOSSY = {
    "jpeg": "JPEG of quality 95; alpha and trimap lossless",
    "video": "H.264, 4:2:0, quantizer 12; alpha and trimap lossless",
    "lossless": "lossless",
    "array": "lossless",
}


def datasheet(splits: Sequence[PreparedSplit]) -> str:
    """Return the text of the section; deterministic for the same splits."""
    config = planned_config(splits[0].plan)
    window = "the complete clip" if config.clip_length == "all" else f"at most {config.clip_length} frames"
    skipped = sum(len(split.skipped) for split in splits)
    answers = {
        "What does an instance represent?": f"A window ({window}) of a clip: a foreground composited over a background",
        "How many instances are there?": _each(splits, _counts),
        "Is the dataset a sample?": _each(splits, _pairing),
        "Is information missing?": f"{counted(skipped, 'source')} or clips were skipped; `left_out` in `manifest.json` "
        "names each with its reason"
        if skipped
        else "No source and no clip was skipped",
        "Are relationships between instances explicit?": "Windows of a clip share `clip_id`; clips share "
        "`foreground_name` and `background_name`, so split by these names, not by rows",
        "Are there recommended splits?": ", ".join(f"`{split.plan.split}`" for split in splits)
        + ", each from its own part of the sources",
        "Are there errors or noise?": f"Images are stored as {LOSSY[config.encoding]}",
        "Is the dataset self-contained?": "Yes",
        "How was the data acquired?": "Rendered from sources that a program generated"
        if all(split.plan.drawn for split in splits)
        else "Rendered from the sources under Provenance; the plans list the SHA-256 of each",
        "What preprocessing was done?": f"The recipe {_values(splits, 'recipe')!r} with the fields under Config, and "
        + ", ".join(f"{name} {version}" for name, version in splits[0].plan.versions.items()),
        "Which version is this?": _each(splits, _digest),
    }
    table = "\n".join(f"| {question} | {answer}. |" for question, answer in answers.items())
    return f"{INTRODUCTION}\n\n| question | answer |\n| --- | --- |\n{table}"


def _each(splits: Sequence[PreparedSplit], answer: Callable[[PreparedSplit], str]) -> str:
    return "; ".join(f"`{split.plan.split}`: {answer(split)}" for split in splits)


def _counts(split: PreparedSplit) -> str:
    rows, frames = counted(split.total("rows"), "row"), counted(split.total("frames"), "frame")
    return f"{rows} of {counted(split.plan.counts['clips'], 'clip')}, {frames}"


def _pairing(split: PreparedSplit) -> str:
    if split.plan.pairs:
        return f"the pairs of `{split.plan.pairs['name']}` (SHA-256 `{split.plan.pairs['sha256']}`)"
    fields = split.plan.fields
    count = counted(fields["backgrounds_per_foreground"], "background")
    return f"each foreground with up to {count}, chosen by the seed {fields['seed']}"


def _digest(split: PreparedSplit) -> str:
    return f"content digest `{split_digest(split.digests)}`" if split.digests else "no content digest was recorded"


def _values(splits: Sequence[PreparedSplit], field: str) -> str:
    return ", ".join(dict.fromkeys(str(split.plan.fields[field]) for split in splits))
