import re
import subprocess
import sys

from relay.cli.story import STEPS, Timeline


def test_the_demo_sees_every_step_and_shows_no_number() -> None:
    ran = subprocess.run([sys.executable, "-m", "relay", "demo"], capture_output=True, timeout=60, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith("Every step was seen.\n")
    assert re.search(r"1380013\d{4}", ran.stdout + ran.stderr) is None


async def test_the_timeline_knows_what_is_missing_and_waits_for_it() -> None:
    said: list[str] = []
    timeline = Timeline(said.append)

    timeline.saw("accepted", "202")
    timeline.note("nothing special")
    await timeline.wait_for("accepted")

    assert [line.partition(" s  ")[2] for line in said] == ["202", "nothing special"]
    assert list(timeline.missing) == [step for step in STEPS if step != "accepted"]
