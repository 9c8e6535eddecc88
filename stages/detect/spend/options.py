"""The options by which a detector spends less; all detectors have them under the key `spend`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.plugin import Options

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class BudgetOptions(Options):
    """What detection may cost at most. In between, boxes are carried on by optical flow.

    Attributes:
        cpu: share of one core, as long as pictures come at their own pace: 0.3 keeps the detector busy for
            at most 0.3 s in each second. A recording waits for its detector, so there it does nothing, and
            the results do not depend on the speed of the box.
        looks_hz: pictures per second of media time that are looked at, at most; the same in any run.
    """

    cpu: float | None = Field(
        None, gt=0, le=1, description="Share of one core that the detector may use; for live streams."
    )
    looks_hz: float | None = Field(
        None, gt=0, le=1000, description="Pictures per second of media time that are looked at, at most."
    )


class SpendOptions(Options):
    """When and where a detector looks.

    Attributes:
        gate: do not look while nothing has changed since the last look; the boxes stay.
        hold_s: after the last motion the detector goes on looking for so long.
        refresh_s: it looks at least so often, whatever moves.
        every: look at every k-th picture, and carry the boxes in between by optical flow. `auto` looks at
            every picture as long as the box keeps up with a live stream, and at fewer when it does not; at
            every picture of a recording.
        regions: look only where something has changed, enlarged, in one picture that is put together of
            these regions. For detectors that scale their input, on pictures in which objects are small.
        full_s: with `regions`, the whole picture is looked at as often as this.
        budget: what it may cost.
    """

    gate: bool = Field(True, description="Do not look while nothing moves.")
    hold_s: float = Field(
        0.5, ge=0, le=60, description="After the last motion the detector goes on looking for so long."
    )
    refresh_s: Seconds = Field(60.0, description="Look at least so often, whatever moves.")
    every: Annotated[int, Field(ge=1, le=100)] | Literal["auto"] = Field(
        "auto", description="Look at every k-th picture only; auto: at all that there is time for."
    )
    regions: bool = Field(False, description="Look only where something moves, enlarged.")
    full_s: Seconds = Field(2.0, description="With regions, the whole picture is looked at as often as this.")
    budget: BudgetOptions = Field(BudgetOptions(), description="What detection may cost at most.")

    @model_validator(mode="before")
    @classmethod
    def _off(cls, given: Any) -> Any:
        """Take `spend: false` for everything switched off."""
        return {"gate": False, "every": 1} if given is False else given

    def carries_of(self, *, live: bool) -> bool:
        """Return whether boxes may ever have to be carried, in a stream that is live or not."""
        by_load = live and (self.every == "auto" or self.budget.cpu is not None)
        return by_load or self.every not in (1, "auto") or self.budget.looks_hz is not None


class DetectorOptions(Options):
    """Base of the options of every detector."""

    spend: SpendOptions = Field(
        SpendOptions(), description="When and where the detector looks; false looks at every picture."
    )
