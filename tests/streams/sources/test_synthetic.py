"""The synthetic street: its URL, its determinism, and that its truth is the truth of its pictures."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.errors import ConfigError, SourceError
from pipeline.frame import Frame
from pipeline.moment import Clock
from pipeline.registry import load_plugin, scheme_of
from streams.sources.synthetic.geometry import LANES, NEAR_KERB_Z
from streams.sources.synthetic.parameters import StreetParameters, parse_url
from streams.sources.synthetic.render import StreetRenderer
from streams.sources.synthetic.source import SyntheticSource
from streams.sources.synthetic.street import Street
from streams.sources.synthetic.truth import StreetTruth, crossings, street_truth, true_counts

ROAD = ((0.72, 0.47), (0.72, 0.82))
PAVEMENT = ((0.36, 0.835), (0.36, 0.985))


def source(url: str, **options: object) -> SyntheticSource:
    return SyntheticSource(url, SyntheticSource.Options(**options), "demo")


def frames(url: str, **options: object) -> list[Frame]:
    opened = source(url, **options)
    opened.open()
    return [item for item in opened.read() if isinstance(item, Frame)]


class TestUrl:
    def test_defaults(self) -> None:
        assert parse_url("synthetic://street") == StreetParameters()

    def test_every_key(self) -> None:
        url = (
            "synthetic://street?seed=7&width=320&height=180&rate_hz=12.5&duration_s=3&traffic=0.5"
            "&noise=0&light=0&shadows=1&jitter_px=1.5"
        )
        wanted = StreetParameters(
            seed=7,
            width=320,
            height=180,
            rate_hz=12.5,
            duration_s=3,
            traffic=0.5,
            noise=0,
            light=False,
            shadows=True,
            jitter_px=1.5,
        )
        assert parse_url(url) == wanted

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("synthetic://", "unknown scene ''; known: street"),
            ("synthetic://stret", "unknown scene 'stret', did you mean 'street'; known: street"),
            ("synthetic://street/x", "unknown scene 'street/x'"),
            ("synthetic://street?sede=1", "unknown key 'sede', did you mean 'seed'; known: seed, width"),
            ("synthetic://street?qqq=1", "unknown key 'qqq'; known: seed"),
            ("synthetic://street?seed=1&seed=2", "'seed' is given twice"),
            ("synthetic://street?seed=one", "seed=one: must be a whole number from 0 to 4294967295"),
            ("synthetic://street?seed=", "seed=: must be a whole number"),
            ("synthetic://street?seed", "not of the form"),
            ("synthetic://street?width=159", "width=159: must be a whole number from 160 to 3840"),
            ("synthetic://street?height=99999", "height=99999: must be a whole number from 120 to 2160"),
            ("synthetic://street?rate_hz=0", "rate_hz=0: must be a number from 1 to 120"),
            ("synthetic://street?rate_hz=nan", "rate_hz=nan: must be a number"),
            ("synthetic://street?duration_s=inf", "duration_s=inf: must be a number from 0.1 to 3600"),
            ("synthetic://street?light=maybe", "light=maybe: must be 1 or 0"),
            ("synthetic://street#x", "'#x' means nothing here"),
            ("file://street", "not a synthetic:// URL"),
        ],
    )
    def test_refused_in_one_line(self, url: str, says: str) -> None:
        with pytest.raises(ConfigError) as caught:
            source(url)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_unknown_option_is_refused(self) -> None:
        with pytest.raises(ValidationError):
            SyntheticSource.Options.model_validate({"strat_time": None})

    @pytest.mark.parametrize(
        ("rate_hz", "duration_s", "count"), [(25, 40, 1000), (30, 0.1, 3), (12.5, 1, 13), (29.97, 1, 30)]
    )
    def test_number_of_frames(self, rate_hz: float, duration_s: float, count: int) -> None:
        assert StreetParameters(rate_hz=rate_hz, duration_s=duration_s).frames == count


class TestSource:
    URL = "synthetic://street?width=320&height=180&duration_s=1&rate_hz=10"

    def test_is_registered(self) -> None:
        assert load_plugin("source", scheme_of("synthetic://street")) is SyntheticSource

    def test_info(self) -> None:
        info = source(self.URL).open()
        assert (info.width, info.height, info.rate_hz, info.frames, info.duration_s) == (320, 180, 10, 10, 1)
        assert not info.live

    def test_frames_carry_identity_and_both_clocks(self) -> None:
        got = frames(self.URL, start_time=datetime(2026, 3, 1, 8, tzinfo=UTC))
        assert [frame.sequence for frame in got] == list(range(10))
        assert {frame.run for frame in got} == {source(self.URL).open().run}
        assert [frame.moment.pts_s for frame in got] == pytest.approx(np.arange(10) / 10)
        last = got[-1].moment
        assert last.iso() == "2026-03-01T08:00:00.900Z"
        assert (last.clock, last.uncertainty_ns) == (Clock.FILE, 0)
        assert (got[0].picture.width, got[0].picture.height) == (320, 180)

    def test_without_start_time_it_begins_at_the_epoch(self) -> None:
        assert frames(self.URL)[0].moment.time_ns == 0

    def test_run_is_a_digest_of_all_parameters(self) -> None:
        same = "synthetic://street?rate_hz=10.0&duration_s=1.0&height=180&width=320&seed=1"
        assert source(self.URL).open().run == source(same).open().run
        assert source(self.URL).open().run != source(self.URL + "&seed=2").open().run

    def test_close_ends_read(self) -> None:
        opened = source(self.URL)
        opened.open()
        reader: Iterator[object] = opened.read()
        next(reader)
        opened.close()
        opened.close()
        assert list(reader) == []

    def test_read_before_open_is_refused(self) -> None:
        with pytest.raises(SourceError, match="open"):
            next(source(self.URL).read())


class TestDeterminism:
    URL = "synthetic://street?width=320&height=180&duration_s=2&jitter_px=1"

    def test_two_runs_are_the_same_bytes(self) -> None:
        for one, other in zip(frames(self.URL), frames(self.URL), strict=True):
            assert np.array_equal(one.picture.bgr(), other.picture.bgr())

    def test_a_picture_depends_on_its_number_alone(self) -> None:
        street = Street(parse_url(self.URL))
        in_order = [StreetRenderer(street).paint(k) for k in (0, 10, 30)]
        again = StreetRenderer(street)
        assert np.array_equal(again.paint(30), in_order[2])
        assert np.array_equal(again.paint(10), in_order[1])

    def test_seeds_differ(self) -> None:
        one, two = frames(self.URL)[0], frames(self.URL + "&seed=2")[0]
        assert np.mean(np.abs(one.picture.bgr().astype(int) - two.picture.bgr())) > 3
        lines = {"road": ROAD, "pavement": PAVEMENT}
        assert true_counts("synthetic://street?seed=1", lines) != true_counts(
            "synthetic://street?seed=2", lines
        )

    def test_a_longer_run_begins_with_the_shorter_one(self) -> None:
        short, long = (street_truth(f"synthetic://street?duration_s={s}") for s in (8, 60))
        for k in (0, 100, 199):
            assert np.array_equal(short.objects(k).xyxy, long.objects(k).xyxy)
            assert np.array_equal(short.objects(k).id, long.objects(k).id)

    def test_the_picture_rate_changes_no_crossing(self) -> None:
        slow, fast = (crossings(f"synthetic://street?rate_hz={rate}", *ROAD) for rate in (5, 100))
        fast = [crossing for crossing in fast if crossing.t_s <= 39.8]
        assert [(c.id, c.direction) for c in slow] == [(c.id, c.direction) for c in fast]
        assert [c.t_s for c in slow] == pytest.approx([c.t_s for c in fast], abs=0.01)


class TestPictures:
    """What is painted is what the truth says."""

    BARE = "synthetic://street?noise=0&light=0&shadows=0&traffic=1"

    @pytest.fixture(scope="class")
    @staticmethod
    def empty() -> np.ndarray:
        return (
            StreetRenderer(Street(parse_url(TestPictures.BARE.replace("traffic=1", "traffic=0"))))
            .paint(0)
            .astype(int)
        )

    @pytest.fixture(scope="class")
    @staticmethod
    def street() -> Street:
        return Street(parse_url(TestPictures.BARE))

    def test_nobody_in_an_empty_street(self) -> None:
        assert len(street_truth(self.BARE.replace("traffic=1", "traffic=0")).objects(100).id) == 0

    @pytest.mark.parametrize("sequence", [0, 180, 333, 512, 700, 999])
    def test_all_that_differs_from_the_empty_street_is_inside_boxes(
        self, sequence: int, street: Street, empty: np.ndarray
    ) -> None:
        differs = np.abs(StreetRenderer(street).paint(sequence) - empty).max(axis=2) > 12
        assert differs.sum() > 500
        for left, top, right, bottom in StreetTruth(street).objects(sequence).xyxy:
            rows = slice(int(top) - 1, int(np.ceil(bottom)) + 1)
            differs[rows, max(0, int(left) - 1) : int(np.ceil(right)) + 1] = False
        assert differs.sum() == 0

    def test_boxes_are_tight(self, street: Street, empty: np.ndarray) -> None:
        truth, renderer = StreetTruth(street), StreetRenderer(street)
        overlaps = {"car": [], "person": []}
        for sequence in range(0, 1000, 40):
            differs = np.abs(renderer.paint(sequence) - empty).max(axis=2) > 12
            objects = truth.objects(sequence)
            for label, box, visible in zip(objects.label, objects.xyxy, objects.visible, strict=True):
                if visible < 0.999:
                    continue
                painted = painted_box(differs, box)
                overlaps[label].append(iou(painted, box))
        assert min(map(len, overlaps.values())) > 15
        for found in overlaps.values():
            assert np.median(found) > 0.88

    def test_shadows_darken_and_are_no_part_of_the_box(self, street: Street, empty: np.ndarray) -> None:
        shaded = StreetRenderer(Street(parse_url(self.BARE.replace("shadows=0", "shadows=1")))).paint(180)
        plain = StreetRenderer(street).paint(180)
        change = shaded.astype(int) - plain
        assert (change <= 1).all()
        assert (change.min(axis=2) < -20).sum() > 300

    def test_light_changes_within_bounds(self) -> None:
        street = Street(StreetParameters(duration_s=300))
        gains = np.array([street.gain(t) for t in np.arange(0, 300, 0.04)])
        assert gains[0] == 1.0
        assert 0.65 < gains.min() < 0.9
        assert 1.05 < gains.max() < 1.27
        quick = np.abs(np.diff(gains)) > 0.02
        assert 10 <= np.count_nonzero(np.diff(quick.astype(int)) == 1) <= 25

    def test_noise_has_its_deviation(self, street: Street) -> None:
        url = "synthetic://street?light=0&traffic=0&noise="
        clean, noisy = (StreetRenderer(Street(parse_url(url + level))).paint(5) for level in ("0", "4"))
        # the middle of the road is far from black and white, so nothing is clipped
        rows = slice(200, 280)
        assert np.std(noisy[rows].astype(float) - clean[rows]) == pytest.approx(4, abs=0.15)

    def test_jitter_moves_picture_and_boxes_together(self) -> None:
        still, moving = (Street(parse_url(self.BARE + more)) for more in ("", "&jitter_px=6"))
        sequence = max(range(100), key=lambda k: abs(moving.sway_px(k / 25)[0]))
        dx, dy = moving.sway_px(sequence / 25)
        assert 1 < abs(dx) <= 6
        painted = [
            cv2.cvtColor(StreetRenderer(s).paint(sequence), cv2.COLOR_BGR2GRAY) for s in (still, moving)
        ]
        (seen_dx, seen_dy), _ = cv2.phaseCorrelate(*(image.astype(np.float32) for image in painted))
        assert (seen_dx, seen_dy) == pytest.approx((dx, dy), abs=0.3)
        boxes = [StreetTruth(street).objects(sequence) for street in (still, moving)]
        inside = (boxes[0].xyxy[:, 0] > 20) & (boxes[0].xyxy[:, 2] < 620) & (boxes[0].xyxy[:, 3] < 340)
        pairs = dict(zip(boxes[1].id, boxes[1].xyxy, strict=True))
        for i, box in zip(boxes[0].id[inside], boxes[0].xyxy[inside], strict=True):
            assert pairs[i] - box == pytest.approx([dx, dy, dx, dy], abs=1e-3)

    @pytest.mark.parametrize(
        "size", ["width=160&height=120", "width=1001&height=333", "width=360&height=640"]
    )
    def test_other_sizes(self, size: str) -> None:
        street = Street(parse_url(f"synthetic://street?{size}"))
        bgr = StreetRenderer(street).paint(50)
        assert bgr.shape == (street.parameters.height, street.parameters.width, 3)
        assert len(StreetTruth(street).objects(50).id) > 0


class TestTraffic:
    """It is a fair street: nobody drives through anybody."""

    def test_cars_of_a_lane_keep_apart(self) -> None:
        street = Street(StreetParameters(duration_s=120))
        for k in range(1200):
            for lane in LANES:
                cars = [p for p in street.placed(k / 10) if p.body.shape.label == "car" and p.z == lane.z]
                spans = sorted((p.xyxy[0], p.xyxy[2]) for p in cars)
                assert all(a[1] < b[0] for a, b in pairwise(spans))

    def test_nobody_is_run_over(self) -> None:
        street = Street(StreetParameters(duration_s=240))
        crossing = 0
        for k in range(2400):
            placed = street.placed(k / 10)
            on_road = [
                p for p in placed if p.body.shape.label == "person" and p.z > NEAR_KERB_Z and p.z < 27.8
            ]
            crossing += len(on_road)
            for person in on_road:
                for car in placed:
                    lane = next((lane for lane in LANES if car.z == lane.z), None)
                    if lane and lane.near_z + 0.2 < person.z < lane.far_z - 0.2:
                        # both at the car's distance, so compare along the street
                        person_x = (person.x_px - street.camera.width / 2) / person.scale
                        car_x = (car.x_px - street.camera.width / 2) / car.scale
                        assert abs(person_x - car_x) > car.body.shape.length_m / 2
        assert crossing > 300

    def test_some_cars_stop(self) -> None:
        street = Street(StreetParameters(duration_s=120, traffic=1))
        speeds = [
            np.abs(np.diff(body.path.x) / np.diff(body.path.t)).min()
            for body in street.bodies
            if body.shape.label == "car" and len(body.path.t) > 10
        ]
        assert sum(speed < 1.0 for speed in speeds) >= 3
        assert sum(speed > 6.0 for speed in speeds) >= 10

    @pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
    def test_the_demo_has_enough_to_count(self, seed: int) -> None:
        counts = true_counts(f"synthetic://street?seed={seed}", {"road": ROAD, "pavement": PAVEMENT})
        assert set(counts["road"]["to_right"]) == set(counts["road"]["to_left"]) == {"car"}
        assert set(counts["pavement"]["to_right"]) == set(counts["pavement"]["to_left"]) == {"person"}
        total = sum(n for line in counts.values() for labels in line.values() for n in labels.values())
        assert 12 <= total <= 40


class TestCrossings:
    URL = "synthetic://street?seed=1&traffic=1"

    @pytest.fixture(scope="class")
    @staticmethod
    def truth() -> StreetTruth:
        return street_truth(TestCrossings.URL)

    def test_direction_is_as_seen_from_the_start(self, truth: StreetTruth) -> None:
        """Looking from the lower end up, the right-hand side is the picture's right."""
        upwards = ((0.72, 0.82), (0.72, 0.66))  # cuts the near lane only, where traffic moves to the right
        assert {crossing.direction for crossing in truth.crossings(*upwards)} == {"to_right"}
        assert {crossing.direction for crossing in truth.crossings(*upwards[::-1])} == {"to_left"}

    def test_downwards_is_to_the_right_of_a_line_from_left_to_right(self, truth: StreetTruth) -> None:
        across_the_zebra = truth.crossings((0.05, 0.6), (0.45, 0.6))
        bodies = {body.id: body for body in truth._street.bodies}
        assert across_the_zebra
        for crossing in across_the_zebra:
            towards_camera = bodies[crossing.id].path.z[-1] < bodies[crossing.id].path.z[0]
            assert crossing.direction == ("to_right" if towards_camera else "to_left")
            assert crossing.label == "person"

    def test_only_the_segment_counts(self, truth: StreetTruth) -> None:
        whole = truth.crossings(*ROAD)
        halves = truth.crossings((0.72, 0.47), (0.72, 0.66)) + truth.crossings((0.72, 0.66), (0.72, 0.82))
        assert sorted((c.t_s, c.id) for c in halves) == [(c.t_s, c.id) for c in whole]
        assert truth.crossings((0.72, 0.0), (0.72, 0.1)) == []

    def test_crossings_agree_with_the_boxes_of_the_frames(self, truth: StreetTruth) -> None:
        """Count again from the bottom centres of the boxes, frame by frame."""
        line_x = ROAD[0][0] * 640
        last: dict[int, float] = {}
        counted = []
        for k in range(1000):
            objects = truth.objects(k)
            for i, box in zip(objects.id, objects.xyxy, strict=True):
                if box[0] <= 0 or box[2] >= 640 or not 0.47 * 360 < box[3] < 0.82 * 360:
                    continue
                x = (box[0] + box[2]) / 2
                if i in last and (last[i] < line_x) != (x < line_x):
                    counted.append((int(i), "to_left" if x >= line_x else "to_right", k / 25))
                last[int(i)] = x
        told = sorted((c.id, c.direction, c.t_s) for c in truth.crossings(*ROAD))
        assert len(told) > 20
        for (i, direction, frame_s), (true_i, true_direction, t_s) in zip(sorted(counted), told, strict=True):
            assert (i, direction) == (true_i, true_direction)
            assert frame_s - 0.0401 <= t_s <= frame_s + 0.001

    def test_anchor(self, truth: StreetTruth) -> None:
        """The middle of a box is higher than its foot, so it reaches a horizontal line at another time."""
        line = ((0.05, 0.6), (0.45, 0.6))
        feet = {(c.id, c.direction): c.t_s for c in truth.crossings(*line)}
        middles = {(c.id, c.direction): c.t_s for c in truth.crossings(*line, anchor="center")}
        for key in feet.keys() & middles.keys():
            sooner = middles[key] < feet[key]
            assert sooner == (key[1] == "to_left")

    def test_module_functions_answer_for_a_url(self, truth: StreetTruth) -> None:
        assert crossings(self.URL, *ROAD) == truth.crossings(*ROAD)
        counts = true_counts(self.URL, {"road": ROAD})
        assert sum(counts["road"]["to_right"].values()) == sum(
            crossing.direction == "to_right" for crossing in truth.crossings(*ROAD)
        )
        assert source(self.URL).truth.true_counts({"road": ROAD}) == counts

    @given(ends=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=2, unique=True))
    @settings(max_examples=50, deadline=None)
    def test_a_reversed_line_swaps_directions(
        self, ends: list[tuple[float, float]], truth: StreetTruth
    ) -> None:
        swap = {"to_right": "to_left", "to_left": "to_right"}
        there, back = truth.crossings(ends[0], ends[1]), truth.crossings(ends[1], ends[0])
        assert [(c.id, swap[c.direction]) for c in there] == [(c.id, c.direction) for c in back]

    @pytest.mark.parametrize(
        ("start", "end", "says"),
        [
            ((0.5, 1.2), (0.5, 0.1), "fractions"),
            ((-0.1, 0), (1, 1), "fractions"),
            ((0.5, 0.5), (0.5, 0.5), "same"),
        ],
    )
    def test_bad_lines(
        self, start: tuple[float, float], end: tuple[float, float], says: str, truth: StreetTruth
    ) -> None:
        with pytest.raises(ConfigError, match=says):
            truth.crossings(start, end)

    def test_visible_share(self, truth: StreetTruth) -> None:
        seen = np.concatenate([truth.objects(k).visible for k in range(0, 1000, 20)])
        assert ((seen >= 0) & (seen <= 1.01)).all()
        assert 0.4 < np.mean(seen > 0.98) < 0.95


def painted_box(differs: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the box of what differs from the empty street in and just around `box`."""
    left, top, right, bottom = np.round(box).astype(int)
    x0, y0 = max(0, left - 1), max(0, top - 1)
    ys, xs = np.nonzero(differs[y0 : bottom + 1, x0 : right + 1])
    if not len(xs):
        return np.zeros(4)
    return np.array([x0 + xs.min(), y0 + ys.min(), x0 + xs.max() + 1, y0 + ys.max() + 1])


def iou(a: np.ndarray, b: np.ndarray) -> float:
    overlap = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(overlap / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - overlap))
