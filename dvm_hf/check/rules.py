"""The rules of `dvm check`: code, severity, text and hint of each finding."""

from typing import NamedTuple


class Rule(NamedTuple):
    """Gravity of a finding, what is wrong, what to do."""

    severity: str
    text: str
    advice: str


RULES: dict[str, Rule] = {
    # a scan's own: the text is the problem's
    "unusable": Rule("error", "{text}", "{advice}"),
    "empty": Rule("error", "is empty (0 bytes)", "copy it again"),
    "unreadable": Rule("error", "cannot be read", "mend or remove it"),
    "machine-fault": Rule(
        "error",
        "could not be read now ({fault}), a fault of this machine or its storage and not of the file",
        "fix that and check again",
    ),
    "not-a-file": Rule("error", "is not a file; only files are read", "remove it"),
    "dead-link": Rule("error", "is a link to nothing", "mend or remove it"),
    "link-out": Rule("error", "is a link that leads out of the source root", "move the target under it"),
    "bad-name": Rule("error", "its name is not UTF-8, or holds control characters", "rename it"),
    "same-name": Rule("error", "has the same name as another file of the folder", "rename one"),
    "no-alpha": Rule("error", "has no usable alpha", "add it or remove this file"),
    "no-colour": Rule("error", "has no usable colour", "add it or remove this file"),
    "shared-background": Rule("error", "is the same file as a background of the other split", "remove one"),
    "crash": Rule(
        "error",
        "the process that read it was ended: a decoder has crashed on it, or memory ran out",
        "check again with memory free, and remove it if that ends alike",
    ),
    # layout
    "tree-empty": Rule(
        "error",
        "holds neither train nor test: a split needs foregrounds (fg/image/SPLIT/fg + alpha or fg/video/SPLIT/NNNN) "
        "and backgrounds (bg/SPLIT)",
        "name the folder that holds fg/ and bg/",
    ),
    "split-empty": Rule(
        "note",
        "the split {split!r} has no usable {what}, so it cannot be built",
        "add them, or build the other split only",
    ),
    "split-unusable": Rule("error", "the split {split!r} has no usable {what}, so it cannot be built", "add them"),
    "folder-missing": Rule("error", "is not there, but {other} is; one without the other is of no use", "add it"),
    "folder-misspelt": Rule(
        "error",
        "is not read, as the layout has no such folder, but {meant} is missing; names must be the layout's",
        "rename it to {meant}",
    ),
    "stray": Rule("warning", "does not belong here and is not read; {allowed}", "move it away"),
    "case-collision": Rule(
        "warning",
        "differs from {other} in case or in how accents are written only; on many disks the two are one file",
        "rename one",
    ),
    "trimap-unread": Rule("note", "is not read: trimaps belong to the split test only", "leave it or remove it"),
    "trimap-without-still": Rule("warning", "has no still of its name in fg", "add the still or remove the trimap"),
    "still-without-trimap": Rule(
        "warning",
        "has no trimap, others of the split have one; with trimap='provided' its trimap is made as by 'dvm-test'",
        "add {trimap}",
    ),
    "pair-line": Rule("error", "line {line}: {fault}", "mend or remove the line"),
    "pair-missing": Rule("error", "{fault}", "add the file or remove the line"),
    "pair-lines": Rule("error", "{count:,} more lines are as bad", "mend the lines above and check again"),
    "crop-too-large": Rule(
        "error",
        "crop_size is {crop}, and {count:,} of {clips:,} clips of the config {config!r} are smaller; a crop must fit "
        "into its composite",
        "use a crop_size up to {most}",
    ),
    "no-rows": Rule(
        "error",
        "no clip of the config {config!r} is as long as a window of {length} frames with frame_step {step}: the "
        "longest has {most} frames, so a build has no row",
        "use a smaller clip_length, or remainder='keep'",
    ),
    "no-kind": Rule(
        "error",
        "the split {split!r} has no usable foreground of the kinds {kinds}, so it cannot be built",
        "add one or change kinds",
    ),
    "plan": Rule("error", "{fault}", "see the text"),
    "shared-content": Rule(
        "warning",
        "has the same {bytes:,} bytes as {other}; train and test must not share a background",
        "remove one",
    ),
    "shared-foreground": Rule(
        "warning",
        "has the same {bytes:,} bytes as {other}; a test on foregrounds of the training tells little",
        "remove one",
    ),
    "duplicate": Rule("warning", "has the same {bytes:,} bytes as {other}", "remove one, or leave both knowingly"),
    # stills
    "still-unreadable": Rule("error", "{fault}", "{advice}"),
    "still-truncated": Rule("error", "has no end: it was cut short, or is being copied still", "copy it again"),
    "size-differs": Rule("error", "is {size} but {other} is {other_size}; both must match", "re-export one of them"),
    "turned-apart": Rule(
        "error",
        "its orientation tag is {turn} but that of {other} is {other_turn}; both must be one, as sizes do not tell "
        "which picture is upright",
        "save both upright and without a tag",
    ),
    "trimap-turned": Rule(
        "warning",
        "its orientation tag is {turn} but that of {other} is {other_turn}; with trimap='provided' both must be one",
        "save both upright and without a tag",
    ),
    "alpha-not-grey": Rule(
        "note", "is stored as {mode}; its luma is read, or its own alpha channel where not all opaque", "nothing"
    ),
    "alpha-16-bit": Rule("note", "has 16 bits a channel; read rounded to 8", "nothing"),
    "alpha-jpeg": Rule("note", "is a JPEG, which leaves grey specks where alpha should be 0", "use PNG if you have it"),
    "alpha-coloured": Rule(
        "warning", "is coloured in {share:.1%} of its pixels; alpha should be grey, its luma is read", "check the file"
    ),
    "alpha-flat": Rule("warning", "is all {value}: no matte at all, as nothing in it is cut out", "replace the file"),
    "alpha-one-level": Rule("error", "is all {value}: no matte, as it has one level only", "replace the file"),
    "alpha-one-channel": Rule(
        "error", "has a matte in its {channels} only, so that its luma is no matte", "save that channel as grey"
    ),
    "alpha-dark": Rule(
        "error",
        "is at most {value} of 255: nothing in it is foreground; its values may fill fewer bits than its format has",
        "stretch it so that opaque is 255",
    ),
    "alpha-no-zero": Rule(
        "warning", "has no pixel at 0 (least: {value}): no background in it", "check that it is an alpha of full range"
    ),
    "alpha-no-full": Rule(
        "warning", "has no pixel at 255 (most: {value}): nothing in it is opaque", "check that it is meant so"
    ),
    "alpha-nearly-full": Rule(
        "warning",
        "has {share:.0%} of its pixels at {low}..254 and {full:.0%} at 255: what looks opaque is not, and trimaps made "
        "of it call all of that unknown",
        "stretch it so that opaque is 255",
    ),
    "alpha-is-colour": Rule(
        "warning", "has the same {bytes:,} bytes as {other}: a copy, no matte", "put the alpha there"
    ),
    "still-rotated": Rule("note", "is turned upright as its EXIF orientation says", "nothing"),
    "part-damaged": Rule(
        "warning", "the checksums of its parts {parts} do not match; they are not read", "copy it again"
    ),
    "colour-converted": Rule(
        "note", "has a colour profile other than sRGB's; its colours are converted to sRGB", "nothing"
    ),
    "colour-named": Rule(
        "note", "is in Adobe RGB by its EXIF, but has no profile; read as sRGB, as viewers do", "nothing, or embed it"
    ),
    "profile-damaged": Rule(
        "warning", "its colour profile cannot be read and is ignored", "save it again with a valid one"
    ),
    "still-animated": Rule("note", "holds {pictures} pictures; the first is read", "nothing"),
    "still-palette": Rule("note", "has a palette; read as its colours", "nothing"),
    "colour-16-bit": Rule("note", "has 16 bits a channel; read rounded to 8", "nothing"),
    "colour-has-alpha": Rule("note", "has an alpha channel, which is not read; the alpha is {alpha}'s", "nothing"),
    "trimap-size": Rule(
        "warning",
        "is {size} but its alpha {other} is {other_size}; with trimap='provided' both must match",
        "export the trimap again",
    ),
    "trimap-values": Rule(
        "note",
        "has other values than 0, 128 and 255 (such as {values}); read as: 0 background, 255 foreground, every value "
        "between unknown",
        "nothing",
    ),
    "trimap-specks": Rule(
        "warning",
        "has {share:.2%} of its pixels within {near} of 0 or 255 and apart from the unknown, such as a JPEG leaves; "
        "with trimap='provided' they become unknown, too",
        "export the trimap again, as PNG with the values 0, 128 and 255",
    ),
    "trimap-is-copy": Rule(
        "warning", "has the same {bytes:,} bytes as {other}: a copy, no trimap", "put the trimap there"
    ),
    "trimap-contradicts": Rule(
        "warning",
        "contradicts its alpha in {share:.2%} of the pixels: foreground where alpha is less than {high}, or "
        "background where it is more than {low}",
        "export the trimap again",
    ),
    # videos
    "video-unreadable": Rule("error", "{fault}", "{advice}"),
    "video-truncated": Rule(
        "warning", "is cut short: {missing:,} bytes are missing; its clips end where it ends", "copy it again"
    ),
    # of a moving foreground's two videos: the text is the build's
    "counts-differ": Rule("error", "the two videos have different numbers of frames", "re-export one of them"),
    "times-differ": Rule("error", "the two videos show their frames at different times", "re-export one of them"),
    "repeats-differ": Rule("error", "one video repeats a frame that the other one does not", "re-export one of them"),
    "rates-differ": Rule(
        "warning",
        "{colour} has {colour_rate} frames/s but {alpha} has {alpha_rate}; both should match",
        "re-export one",
    ),
    "rate-unlikely": Rule(
        "warning",
        "has {rate} frames/s by its header: a frame lasts so long that those after it may never be shown",
        "re-export it",
    ),
    "count-wrong": Rule(
        "warning", "its header says {listed} frames, but {decoded} decode; its clips end there", "re-export it"
    ),
    "undecodable": Rule(
        "warning",
        "frame {index} is the first that cannot be decoded ({fault}); windows that hold it end before it",
        "copy it again",
    ),
    "frame-size-changes": Rule(
        "error", "frame {index} is {size}, frame 0 {other_size}; all frames must have one size", "re-export it"
    ),
    "variable-rate": Rule(
        "warning",
        "has a variable frame rate: steps from {shortest:.4g} to {longest:.4g} s; frames are taken one by one, so that "
        "its motion is uneven",
        "re-export it at a constant rate",
    ),
    "time-goes-back": Rule(
        "warning",
        "its time stamps go back, by up to {most:.4g} s; frames are taken one by one as they are decoded",
        "re-export it",
    ),
    "untagged": Rule("note", "has no tag for its {what}; read as {read_as}", "nothing, or tag it"),
    "other-streams": Rule("note", "holds {streams} video streams; stream {index} ({size}) is read", "nothing"),
    "reshaped": Rule(
        "note",
        "is shown as {size} ({changes}), and read so; recipe='reference' refuses it, as the published pipeline does "
        "not heed this",
        "nothing",
    ),
    "odd-aspect": Rule(
        "note", "declares pixels of {across}:{down}, which cannot be; read as square", "nothing, or correct the tag"
    ),
    "interlaced": Rule(
        "note",
        "is interlaced, and is not deinterlaced: moving edges show combing",
        "nothing, or deinterlace it, such as with ffmpeg -vf bwdif=mode=send_frame",
    ),
    "wide-gamut": Rule(
        "note",
        "has {primaries} primaries; its values are read as they are, so that colours look paler than in a player",
        "convert it to BT.709 as docs/files.md shows",
    ),
    "video-has-alpha": Rule("note", "has an alpha channel, which is not read; the alpha is a's", "nothing"),
    "alpha-in-channel": Rule(
        "note",
        "is stored as {layout}; its own alpha channel is read where that is not all opaque in the first frame, else "
        "its luma",
        "nothing",
    ),
    "no-frame-count": Rule("note", "its header has no frame count; frames are counted when it is read", "nothing"),
    "alpha-limited": Rule(
        "warning",
        "is tagged full range, but its values stay within {low}..{high} as if limited: alpha never gets to 0 and 255",
        "tag it as limited range, or re-export it",
    ),
    "alpha-clipped": Rule(
        "warning",
        "counts as limited range (16..235), but {share:.1%} of its values lie far outside, as if full, and are clipped",
        "tag it as full range, or re-export it",
    ),
    "colour-keyed": Rule(
        "warning",
        "is {colour} in {share:.0%} of where its alpha is 0; resizing blends that colour into the matte's edge",
        "re-export it with colours that go on beyond the matte",
    ),
}
