"""The rules of `dvm check`: code, severity, text and hint of each finding."""

from typing import NamedTuple


class Rule(NamedTuple):
    """Severity of a finding, what is wrong, and what to do."""

    severity: str
    text: str
    hint: str


RULES: dict[str, Rule] = {
    # of a scan: the text of the problem replaces these
    "unusable": Rule("error", "{text}", "{hint}"),
    "empty": Rule("error", "is empty (0 bytes)", "copy it again"),
    "unreadable": Rule("error", "cannot be read", "fix or remove it"),
    "machine-fault": Rule(
        "error",
        "could not be read ({fault}), because of a fault in this machine or its storage, not in the file",
        "fix the fault and check again",
    ),
    "not-a-file": Rule("error", "is not a regular file", "remove it"),
    "dead-link": Rule("error", "is a broken link", "fix or remove it"),
    "link-out": Rule(
        "error", "is a link that points outside the source folder", "move the target into the source folder"
    ),
    "bad-name": Rule("error", "has a name that is not UTF-8 or contains control characters", "rename it"),
    "same-name": Rule("error", "has the same name as another file of the folder", "rename one of them"),
    "no-alpha": Rule("error", "has no usable alpha", "add it, or remove this file"),
    "no-colour": Rule("error", "has no usable colour", "add it, or remove this file"),
    "shared-background": Rule("error", "is the same file as a background of the other split", "remove one of them"),
    "own-alpha-missing": Rule(
        "error",
        "has no alpha channel, and the foreground has no other file for its alpha",
        "add that file, or save the picture with an alpha channel",
    ),
    "own-alpha-opaque": Rule(
        "error",
        "its alpha channel is opaque everywhere, and the foreground has no other file for its alpha",
        "add that file, or save it with its alpha",
    ),
    "frames": Rule("error", "is not a complete folder of numbered pictures", "add the missing frames"),
    "name-list": Rule("error", "is not a valid list of names", "fix the list"),
    "listed-missing": Rule("error", "lists names without files", "add the files, or remove the lines"),
    "held-out": Rule("note", "is not read, because it belongs to a validation split", "no action needed, or move it"),
    "crash": Rule(
        "error",
        "ended the process that read it: the decoder crashed, or memory ran out",
        "free some memory and check again; if it still crashes, remove the file",
    ),
    # layout
    "tree-empty": Rule(
        "error",
        "has neither a train nor a test split: a split needs foregrounds (fg/image/SPLIT/fg and alpha, or "
        "fg/video/SPLIT/NNNN) and backgrounds (bg/SPLIT)",
        "pass the folder that contains fg/ and bg/",
    ),
    "one-role": Rule(
        "note",
        "has {role}, but no {other}, so it cannot be built on its own",
        "list it in a sources file with a folder that has {other}; dvm init writes one",
    ),
    "split-empty": Rule(
        "note",
        "the split {split!r} has no usable {what} and cannot be built",
        "add them, or build only the other split",
    ),
    "split-unusable": Rule("error", "the split {split!r} has no usable {what} and cannot be built", "add them"),
    "published-count": Rule(
        "note",
        "contains {listed}, but {published} has {count:,}",
        "no action needed, or unpack the set again if you need all of it",
    ),
    "folder-missing": Rule("error", "is missing, but {other} needs it", "add it"),
    "folder-misspelt": Rule(
        "error", "is not part of the layout and not read, while {meant} is missing", "rename it to {meant}"
    ),
    "stray": Rule("warning", "is unexpected and not read; {allowed}", "move it away"),
    "case-collision": Rule(
        "warning",
        "differs from {other} only in case or in how accents are encoded; on many disks the two are one file",
        "rename one of them",
    ),
    "trimap-unread": Rule(
        "note", "is not read, because only the test split uses trimaps", "no action needed, or remove it"
    ),
    "trimap-without-still": Rule(
        "warning", "has no image of the same name in fg", "add the image, or remove the trimap"
    ),
    "still-without-trimap": Rule(
        "warning",
        "has no trimap, but other foregrounds of the split have one; with trimap='provided' its trimap is computed "
        "as with 'dvm-test'",
        "add {trimap}",
    ),
    "pair-line": Rule("error", "line {line}: {fault}", "fix or remove the line"),
    "pair-missing": Rule("error", "{fault}", "add the file, or remove the line"),
    "pair-lines": Rule("error", "has more lines with errors ({count:,})", "fix the lines above and check again"),
    "crop-too-large": Rule(
        "error",
        "crop_size is {crop}, but {count:,} of {clips:,} clips of the config {config!r} are smaller",
        "use a crop_size of at most {maximum}",
    ),
    "no-rows": Rule(
        "error",
        "no clip of the config {config!r} is as long as a window of {length} frames with frame_step {step}: the "
        "longest clip has {maximum} frames, so a build has no rows",
        "use a smaller clip_length, or remainder='keep'",
    ),
    "no-kind": Rule(
        "error",
        "the split {split!r} has no usable foreground of the kinds {kinds} and cannot be built",
        "add one, or change kinds",
    ),
    "plan": Rule("error", "{fault}", "see the text"),
    "shared-content": Rule(
        "warning",
        "has the same content as {other} ({bytes:,} bytes): train and test must not share backgrounds",
        "remove one of them",
    ),
    "shared-foreground": Rule(
        "warning",
        "has the same content as {other} ({bytes:,} bytes): the test set contains a training foreground (data leakage)",
        "remove one of them",
    ),
    "shared-source": Rule(
        "warning", "is a {kind} of both train and test, which must not share sources", "list it in one of them"
    ),
    "duplicate": Rule(
        "warning", "has the same content as {other} ({bytes:,} bytes)", "remove one of them, unless both are intended"
    ),
    # images
    "still-unreadable": Rule("error", "{fault}", "replace the file"),
    "still-truncated": Rule("error", "is truncated, or still being copied", "copy it again"),
    "size-differs": Rule(
        "error", "is {size}, but {other} is {other_size}; both must have the same size", "re-export one of them"
    ),
    "turned-apart": Rule(
        "error",
        "has the orientation tag {turn}, but {other} has {other_turn}; both must match, because sizes do not show "
        "which picture is upright",
        "save both upright and without a tag",
    ),
    "trimap-turned": Rule(
        "warning",
        "has the orientation tag {turn}, but {other} has {other_turn}; with trimap='provided' both must match",
        "save both upright and without a tag",
    ),
    "alpha-not-grey": Rule(
        "note",
        "is stored as {mode}; its luma is read, or its own alpha channel if that is not fully opaque",
        "no action needed",
    ),
    "alpha-16-bit": Rule("note", "has 16 bits per channel; rounded to 8 bits when read", "no action needed"),
    "alpha-jpeg": Rule("note", "is a JPEG, which leaves grey specks where alpha should be 0", "use PNG if you have it"),
    "alpha-coloured": Rule(
        "warning",
        "is coloured in {share:.1%} of its pixels, but an alpha should be grey; its luma is read",
        "check the file",
    ),
    "alpha-channel-opaque": Rule(
        "warning",
        "has an alpha channel that is opaque in {share:.1%} of its pixels, and grey colours from black to white; the "
        "channel is read, not the colours",
        "if the matte is in the colours, save it as a grey image",
    ),
    "alpha-flat": Rule("warning", "is {value} everywhere: nothing in it is cut out", "replace the file"),
    "alpha-one-level": Rule("error", "is {value} everywhere: an alpha needs more than one level", "replace the file"),
    "alpha-one-channel": Rule(
        "error", "has a matte only in its {channels}, so its luma is not the matte", "save that channel as grey"
    ),
    "alpha-dark": Rule(
        "error",
        "has no value above {value} of 255, so nothing in it is foreground. Its values may use fewer bits than its "
        "format",
        "scale it so that opaque is 255",
    ),
    "alpha-no-zero": Rule(
        "warning",
        "has no pixel at 0 (minimum: {value}): nothing in it is background",
        "check that the alpha uses the full range",
    ),
    "alpha-no-full": Rule(
        "warning", "has no pixel at 255 (maximum: {value}): nothing in it is opaque", "check that this is intended"
    ),
    "alpha-nearly-full": Rule(
        "warning",
        "has {share:.0%} of its pixels at {low}..254 and {full:.0%} at 255: pixels that look opaque are not, and are"
        " unknown in trimaps",
        "scale it so that opaque is 255",
    ),
    "alpha-is-colour": Rule(
        "warning",
        "has the same content as {other} ({bytes:,} bytes): a copy, not an alpha",
        "replace it with the alpha",
    ),
    "still-rotated": Rule("note", "is rotated upright as its EXIF orientation specifies", "no action needed"),
    "part-damaged": Rule(
        "warning", "has damaged chunks ({parts}); they are not read", "copy it again, or save it again"
    ),
    "colour-converted": Rule(
        "note", "has a colour profile other than sRGB; its colours are converted to sRGB", "no action needed"
    ),
    "colour-named": Rule(
        "note",
        "is Adobe RGB according to its EXIF data, but has no profile; read as sRGB, as viewers do",
        "no action needed, or embed the profile",
    ),
    "profile-damaged": Rule(
        "warning", "has a colour profile that cannot be read; it is ignored", "save it again with a valid profile"
    ),
    "colour-impossible": Rule(
        "warning",
        "declares its colours in a chunk gAMA, cHRM, sRGB or cICP of impossible values or length; read as sRGB",
        "save it again in sRGB",
    ),
    "colour-limited": Rule(
        "note", "stores limited range (16..235) according to its chunk cICP; expanded to full range", "no action needed"
    ),
    "still-animated": Rule("note", "contains {pictures} pictures; the first one is read", "no action needed"),
    "still-palette": Rule("note", "has a palette; its colours are read", "no action needed"),
    "colour-16-bit": Rule("note", "has 16 bits per channel; rounded to 8 bits when read", "no action needed"),
    "colour-has-alpha": Rule(
        "note", "has an alpha channel, which is not read; the alpha is read from {alpha}", "no action needed"
    ),
    "trimap-size": Rule(
        "warning",
        "is {size}, but its alpha {other} is {other_size}; with trimap='provided' both must match",
        "export the trimap again",
    ),
    "trimap-values": Rule(
        "note",
        "has values other than 0, 128 and 255 (such as {values}); 0 is read as background, 255 as foreground, and "
        "every other value as unknown",
        "no action needed",
    ),
    "trimap-specks": Rule(
        "warning",
        "has {share:.2%} of its pixels within {near} of 0 or 255 and away from the unknown band, as JPEG compression"
        " leaves them; with trimap='provided' they become unknown",
        "export the trimap again as PNG with the values 0, 128 and 255",
    ),
    "trimap-is-copy": Rule(
        "warning",
        "has the same content as {other} ({bytes:,} bytes): a copy, not a trimap",
        "replace it with the trimap",
    ),
    "trimap-contradicts": Rule(
        "warning",
        "contradicts its alpha in {share:.2%} of the pixels: foreground where alpha is less than {high}, or "
        "background where it is more than {low}",
        "export the trimap again",
    ),
    # videos
    "video-unreadable": Rule("error", "{fault}", "replace the file"),
    "video-truncated": Rule(
        "warning", "is truncated: {missing:,} bytes are missing; its clips end early", "copy it again"
    ),
    # both videos of a foreground: the text of the build replaces these
    "counts-differ": Rule("error", "the two videos have different numbers of frames", "re-export one of them"),
    "times-differ": Rule("error", "the two videos show their frames at different times", "re-export one of them"),
    "repeats-differ": Rule("error", "one video repeats a frame that the other one does not", "re-export one of them"),
    "starts-differ": Rule(
        "note",
        "{colour} starts at {colour_start:.3f} s, but {alpha} at {alpha_start:.3f} s; frames are matched from the "
        "first frame of each file, so the first frames must show the same picture",
        "no action needed if they do; otherwise remove the frames that only one video has",
    ),
    "rates-differ": Rule(
        "warning",
        "{colour} has {colour_rate} frames/s, but {alpha} has {alpha_rate}; both should match",
        "re-export one of them",
    ),
    "rate-unlikely": Rule(
        "warning",
        "declares {rate} frames/s: each frame lasts so long that the next ones may never be shown",
        "re-export it",
    ),
    "count-wrong": Rule(
        "warning", "declares {listed} frames, but {decoded} can be shown; only these are used", "re-export it"
    ),
    "undecodable": Rule(
        "warning",
        "frame {index} is the first that cannot be decoded ({fault}); windows that would contain it are cut off before "
        "it",
        "copy it again",
    ),
    "frame-size-changes": Rule(
        "error",
        "frame {index} is {size}, but frame 0 is {other_size}; all frames must have the same size",
        "re-export it",
    ),
    "variable-rate": Rule(
        "warning",
        "has a variable frame rate, with steps from {shortest:.4g} to {longest:.4g} s; frames are read one by one, "
        "so its motion is uneven",
        "re-export it at a constant rate",
    ),
    "time-goes-back": Rule(
        "warning",
        "has timestamps that go back by up to {maximum:.4g} s; frames are read in the order in which they are decoded",
        "re-export it",
    ),
    "untagged": Rule("note", "has no tag for its {what}; read as {read_as}", "no action needed, or add the tag"),
    "other-streams": Rule(
        "note", "contains {streams} video streams; stream {index} ({size}) is read", "no action needed"
    ),
    "reshaped": Rule(
        "note",
        "is displayed as {size} ({changes}), and read in that form; recipe='reference' rejects it, because the "
        "published pipeline ignores these tags",
        "no action needed",
    ),
    "odd-aspect": Rule(
        "note",
        "declares a pixel aspect ratio of {across}:{down}, which is not valid; read as square pixels",
        "no action needed, or correct the tag",
    ),
    "interlaced": Rule(
        "note",
        "is interlaced, and is not deinterlaced: moving edges show combing",
        "no action needed, or deinterlace it, for example with ffmpeg -vf bwdif=mode=send_frame",
    ),
    "wide-gamut": Rule(
        "note",
        "has {primaries} primaries; its values are not converted, so colours look paler than in a player",
        "convert it to BT.709 as docs/files.md shows",
    ),
    "video-has-alpha": Rule(
        "note", "has an alpha channel, which is not read; the alpha is read from the other video", "no action needed"
    ),
    "alpha-in-channel": Rule(
        "note",
        "is stored as {layout}; its own alpha channel is read if that is not fully opaque in the first frame, "
        "otherwise its luma",
        "no action needed",
    ),
    "no-frame-count": Rule("note", "declares no frame count; frames are counted when it is read", "no action needed"),
    "alpha-limited": Rule(
        "warning",
        "is tagged as full range, but its values stay within {low}..{high}, as in limited range: alpha never reaches"
        " 0 and 255",
        "tag it as limited range, or re-export it",
    ),
    "alpha-clipped": Rule(
        "warning",
        "is read as limited range (16..235), but {share:.1%} of its values lie far outside, as in full range, and "
        "are clipped",
        "tag it as full range, or re-export it",
    ),
    "colour-keyed": Rule(
        "warning",
        "is {colour} in {share:.0%} of the area where its alpha is 0; its soft edge may be mixed with that colour",
        "re-export it with unpremultiplied colours that continue beyond the matte; or, if they are mixed with that "
        "colour, set colour: premultiplied (black) or colour: estimate in a sources file",
    ),
}
