"""Measure a clip frame by frame, with the memory of two frames."""

from typing import Any

from dvm_hf.errors import MetricsError
from dvm_hf.metrics.clip_sums import ClipSums
from dvm_hf.metrics.conventions import convention_named
from dvm_hf.metrics.flow import Flow, named_flow
from dvm_hf.metrics.frames import Colours, Frame, masks, require_pixels, require_shape, require_trimap, require_uint8
from dvm_hf.metrics.primitives import Pair, Sums, frame_sums, pair_sums


class ClipEvaluator:
    """The metrics of one clip, from its frames in order.

        evaluator = ClipEvaluator("default", flow="dis-alpha")
        for predicted, reference, trimap in frames:
            evaluator.update(predicted, reference, trimap=trimap)
        print(evaluator.sums().metrics())

    convention: a name of `CONVENTIONS`. flow: the motion for MESSDdt: None, a name of `FLOWS`, or an object such as
    `AffineFlow` or `StoredFlow`. Conventions with their own flow ignore it, and so do those without MESSDdt.

    Raises MetricsError for an unknown name.
    """

    def __init__(self, convention: str = "default", *, flow: Flow | str | None = None) -> None:
        self.convention = convention_named(convention)
        given = named_flow(flow) if isinstance(flow, str) else flow
        self.flow = (self.convention.own_flow or given) if self.convention.uses_flow else None
        self._sums: list[Sums] = []  # of each frame
        self._previous: Frame | None = None
        self._second: Frame | None = None  # of the clip, for conventions that read it in every pair

    def update(
        self,
        predicted: Any,
        reference: Any,
        *,
        trimap: Any = None,
        predicted_foreground: Any = None,
        reference_foreground: Any = None,
    ) -> None:
        """Measure the next frame.

        predicted, reference: alpha, uint8 (H, W). trimap: uint8 (H, W) of 0, 128 and 255; needed for all regions but
        the whole frame. predicted_foreground, reference_foreground: RGB colours that are not premultiplied, uint8
        (H, W, 3); both for the metrics of colours, the reference alone for flow="dis".

        Raises MetricsError if an array does not fit the others or the frames before.
        """
        frame = self._frame(predicted, reference, trimap, predicted_foreground, reference_foreground)
        pair = None if self._previous is None else self._pair(self._previous, frame)
        needs = self.convention.needs(colours=frame.has_both_colours)
        of_frame, of_pair = frame_sums(frame, needs), pair_sums(pair, needs)
        self._sums.append({region: of_frame[region] | of_pair[region] for region in needs})
        self._previous = frame

    def extend(
        self,
        predicted: Any,
        reference: Any,
        *,
        trimap: Any = None,
        predicted_foreground: Any = None,
        reference_foreground: Any = None,
    ) -> None:
        """Measure the next frames: the arguments of `update`, each with a first axis of T frames."""
        require_uint8("reference", reference)
        if reference.ndim != 3 or not reference.size:
            raise MetricsError(
                f"reference: has the shape {reference.shape}, but must be (frames, height, width), with at least 1 px; "
                "add the missing axis, such as reference[None] for a single frame"
            )
        arrays = {"predicted": predicted, "reference": reference, "trimap": trimap}
        arrays |= {"predicted_foreground": predicted_foreground, "reference_foreground": reference_foreground}
        for name, value in arrays.items():
            if value is not None:
                require_shape(name, value, (*reference.shape, 3) if name.endswith("foreground") else reference.shape)
        for index in range(len(reference)):
            self.update(**{name: None if value is None else value[index] for name, value in arrays.items()})

    def sums(self) -> ClipSums:
        """Return the sums of all frames so far. Raises MetricsError if there is none."""
        if not self._sums:
            raise MetricsError("the clip has no frames; pass at least one")
        columns = {
            region: {name: [sums[region][name] for sums in self._sums] for name in of_region}
            for region, of_region in self._sums[0].items()
        }
        return ClipSums(self.convention.name, None if self.flow is None else self.flow.name, len(self._sums), columns)

    def _pair(self, previous: Frame, frame: Frame) -> Pair:
        for name, before, now in (
            ("reference", previous.size, frame.size),
            ("trimap", previous.trimap is not None, frame.trimap is not None),
            ("predicted_foreground, reference_foreground", previous.has_both_colours, frame.has_both_colours),
        ):
            if before != now:
                raise MetricsError(
                    f"{name}: frame {frame.index} has {_found(now)}, but the frames before have {_found(before)}; all "
                    "frames of a clip must be alike"
                )
        if self._second is None and self.convention.own_flow is not None:
            self._second = frame
        flow = None if self.flow is None else self.flow.between(previous, frame)
        return Pair(previous, frame, flow, self._second or frame)

    def _frame(self, predicted: Any, reference: Any, trimap: Any, *foregrounds: Any) -> Frame:
        require_uint8("reference", reference)
        if reference.ndim != 2 or not reference.size:
            raise MetricsError(
                f"reference: has the shape {reference.shape}, but a frame must be (height, width), with at least 1 px; "
                "pass frames one by one, or a clip to `extend`"
            )
        shape = reference.shape
        if trimap is None and self.convention.needs_trimap:
            raise MetricsError(f"trimap: missing, but the convention {self.convention.name!r} requires it; pass it")
        checked_trimap = None if trimap is None else require_trimap(trimap, shape)
        alpha = require_pixels("reference", reference, shape)
        names = ("predicted_foreground", "reference_foreground")
        colours = [
            None if value is None else require_pixels(name, value, (*shape, 3))
            for name, value in zip(names, foregrounds, strict=True)
        ]
        if colours[1] is None and colours[0] is not None:
            raise MetricsError("reference_foreground: missing, but predicted_foreground was passed; pass both")
        return Frame(
            index=len(self._sums),
            predicted=require_pixels("predicted", predicted, shape),
            reference=alpha,
            trimap=checked_trimap,
            masks=masks(alpha, checked_trimap, self.convention.rules, soft_is_unknown=self.convention.soft_is_unknown),
            colours=None if colours[1] is None else Colours(colours[0], colours[1]),
        )


def _found(value: Any) -> Any:
    return {True: "it", False: "none"}[value] if isinstance(value, bool) else value
