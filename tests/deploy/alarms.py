"""What must hold of a stack's alarms and its dashboard. Part of `holds.CHECKS`."""

import json
import re

from cloudformation import Stack
from lanes import DAY_SECS, ROOT, lanes


def metrics_of_the_program() -> set[str]:
    source = (ROOT / "src/telemetry/metrics.rs").read_text()
    return set(re.findall(r'Metric = Metric \{ name: "(\w+)"', source))


# The one metric that is told apart by more than the function. Each further one would cost by the month.
BY_OUTCOME = "files"


def own_metrics(stack: Stack):
    """Every metric of ours that an alarm or the dashboard names: its name and dimensions."""
    for alarm in stack.of_type("AWS::CloudWatch::Alarm").values():
        for metric in looked_at(alarm).values():
            if metric["Namespace"] == "dms2bq":
                yield metric["MetricName"], _dimensions(metric)
    for widget in dashboard(stack)["widgets"]:
        for metric in widget["properties"]["metrics"]:
            if metric[0] == "dms2bq":
                names = [part for part in metric[2:] if isinstance(part, str)]
                yield metric[1], dict(zip(names[::2], names[1::2], strict=True))
            elif isinstance(metric[0], dict):
                searched = re.search(r"\{dms2bq,([\w,]+)\} MetricName=\"(\w+)\" function=\"([^\"]+)\"", metric[0]["expression"])
                yield searched[2], dict.fromkeys(searched[1].split(",")) | {"function": searched[3]}


def dashboard(stack: Stack) -> dict:
    [found] = stack.of_type("AWS::CloudWatch::Dashboard").values()
    return json.loads(found["DashboardBody"])


def metrics_are_those_of_the_program(stack: Stack):
    codes = set(re.findall(r"`([a-z]+\.[a-z_0-9]+)`", (ROOT / "docs/errors.md").read_text()))
    functions = {f"<{lane.function_id}>" for lane in lanes(stack)}
    for name, dimensions in own_metrics(stack):
        if name not in metrics_of_the_program():
            yield f"there is no metric {name}"
        sets = [["function"], ["function", "outcome"], ["code", "function", "outcome"]]
        if sorted(dimensions) not in (sets if name == BY_OUTCOME else sets[:1]):
            yield f"{name} has no dimensions {sorted(dimensions)}"
        if dimensions.get("outcome") not in (None, "loaded", "ignored", "returned"):
            yield f"there is no outcome {dimensions['outcome']}"
        if dimensions.get("code") and dimensions["code"] not in codes:
            yield f"there is no code {dimensions['code']}"
        if dimensions["function"] not in functions:
            yield f"{name} is about {dimensions['function']}"


def alarms_say_what_to_do(stack: Stack):
    topic = stack.parameters["AlarmTopicArn"]
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm").items():
        if len(alarm.get("AlarmDescription", "")) < 40:
            yield f"{name} does not say what it means"
        if alarm.get("AlarmActions", []) != ([topic] if topic else []):
            yield f"{name} tells {alarm.get('AlarmActions')}"
        # CloudWatch refuses an alarm that looks at more than seven days, and more than one day in periods below an hour.
        period = _period(alarm)
        seconds = period * alarm["EvaluationPeriods"]
        if seconds > (7 * DAY_SECS if period >= 3600 else DAY_SECS):
            yield f"{name} looks at {seconds} s"


def every_lane_is_watched(stack: Stack):
    alarms = list(stack.of_type("AWS::CloudWatch::Alarm").values())
    wanted = [("ApproximateNumberOfMessagesVisible", {"QueueName": "dms2bq-undelivered"}, 0)]
    # Queues outlive their lane, so that what it left behind is noticed.
    for queue, dead in [("Queue", "DeadLetterQueue"), ("FullLoadQueue", "FullLoadDeadLetterQueue")]:
        queue, dead = (stack.resources[name]["Properties"]["QueueName"] for name in (queue, dead))
        wanted += [
            ("ApproximateNumberOfMessagesVisible", {"QueueName": dead}, 0),
            ("ApproximateAgeOfOldestMessage", {"QueueName": dead}, 8 * DAY_SECS),
            ("ApproximateAgeOfOldestMessage", {"QueueName": queue}, 60 * int(stack.parameters["OldestMessageMinutes"])),
        ]
    for lane in lanes(stack):
        function = f"<{lane.function_id}>"
        row_mismatch = {"function": function, "outcome": "returned", "code": "job.row_mismatch"}
        wanted += [("Errors", {"FunctionName": function}, 0), ("files", row_mismatch, 0)]
    for metric, dimensions, threshold in wanted:
        if not any(_is_above(alarm, metric, dimensions, threshold) for alarm in alarms):
            yield f"no alarm when {metric} of {dimensions} is above {threshold}"


def _is_above(alarm: dict, metric: str, dimensions: dict, threshold: int) -> bool:
    if "Metrics" in alarm:
        return False
    return (alarm["MetricName"], _dimensions(alarm), alarm["Threshold"], alarm["ComparisonOperator"], alarm["TreatMissingData"]) == (
        metric,
        dimensions,
        threshold,
        "GreaterThanThreshold",
        "notBreaching",
    )


def looked_at(alarm: dict) -> dict[str, dict]:
    """The metrics that an alarm looks at, by the names they have in its expressions."""
    if "Metrics" not in alarm:
        return {"": alarm}
    return {each["Id"]: each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each}


def _dimensions(metric: dict) -> dict[str, str]:
    return {each["Name"]: each["Value"] for each in metric["Dimensions"]}


def _period(alarm: dict) -> int:
    if "Metrics" not in alarm:
        return alarm["Period"]
    [period] = {each["MetricStat"]["Period"] for each in alarm["Metrics"] if "MetricStat" in each}
    return period


# What alarms about all functions together say to what happened: files and invocations by function, and whether it alarms. `None` is
# a function that wrote nothing. With two lanes, the second is the lane of full loads.
TOLD = {
    "NothingLoadedAlarm": [
        ([{"loaded": 3}], False),
        ([{}], True),
        ([{}, {"loaded": 300}], False),
        ([{"loaded": 1}, {}], False),
        ([{}, {}], True),
    ],
    "NothingCanLoadAlarm": [([{}], False), ([{"stopped": 1}], True), ([{}, {"stopped": 1}], True), ([{"loaded": 5}, {}], False)],
    "NothingGetsThroughAlarm": [
        ([{}], False),
        ([{"returned": 7}], True),
        ([{"returned": 7, "loaded": 1}], False),
        ([{"loaded": 1}], False),
        ([{}, {"returned": 1}], True),
        ([{"returned": 1}, {"loaded": 1}], False),
    ],
    "QuotaExceededAlarm": [([{}], False), ([{"exceeded": 1}], True), ([{}, {"exceeded": 1}], True)],
    "MappingsRejectedAlarm": [([{}], False), ([{"rejected": 1}], True), ([{}, {"rejected": 1}], True)],
}
# By the names in `TOLD`: metric and dimensions besides the function.
COUNTED = {
    "loaded": ("files", {"outcome": "loaded"}),
    "returned": ("files", {"outcome": "returned"}),
    "exceeded": ("files", {"outcome": "returned", "code": "job.quota_exceeded"}),
    "stopped": ("nothing_can_load", {}),
    "rejected": ("mappings_rejected", {}),
}


def alarms_about_all_lanes_look_at_each(stack: Stack):
    functions = [f"<{lane.function_id}>" for lane in lanes(stack)]
    for name, cases in TOLD.items():
        alarm = stack.resources[name]["Properties"]
        for happened, alarmed in cases:
            if len(happened) == len(functions) and _alarms(alarm, dict(zip(functions, happened, strict=True))) != alarmed:
                yield f"{name} would {'be silent' if alarmed else 'alarm'} on {happened}"


def _alarms(alarm: dict, happened: dict[str, dict]) -> bool:
    """Whether one period like this breaches the alarm's threshold."""
    counts = {
        (metric, tuple(sorted(({"function": function} | dimensions).items()))): count
        for function, counted in happened.items()
        for what, count in counted.items()
        for metric, dimensions in [COUNTED[what]]
    }
    values = {
        name: counts.get((metric["MetricName"], tuple(sorted(_dimensions(metric).items()))))
        for name, metric in looked_at(alarm).items()
    }
    expressions = {each["Id"]: each["Expression"] for each in alarm["Metrics"] if "Expression" in each}
    [result] = [each["Id"] for each in alarm["Metrics"] if each["ReturnData"]]
    value = metric_math(expressions, values, result)
    if value is None:
        return alarm["TreatMissingData"] == "breaching"
    return value < alarm["Threshold"] if alarm["ComparisonOperator"] == "LessThanThreshold" else value > alarm["Threshold"]


def metric_math(expressions: dict, values: dict, name: str):
    """CloudWatch's metric math, as far as ours goes: a value that is missing makes all missing that is not filled."""
    if name in values:
        return values[name]
    text = expressions[name].replace(" AND ", " and ").replace("IF(", "IF_(")
    functions = {"FILL": lambda value, filled: filled if value is None else value, "SUM": sum, "IF_": lambda test, then, other: then if test else other}
    named = {inner: metric_math(expressions, values, inner) for inner in {*expressions, *values} - {name} if re.search(rf"\b{inner}\b", text)}
    return eval(text, {"__builtins__": {}}, functions | named)


def an_outage_and_a_silence_are_noticed_in_time(stack: Stack):
    hours = int(stack.parameters["NothingLoadedHours"])
    # Period, periods that are looked at, and how many of them have to breach.
    wanted = {
        "NothingLoadedAlarm": (3600, hours, hours),
        # What waits is asked for every ten minutes at the latest (src/outcome/backoff.rs), so that two of four see it.
        "NothingCanLoadAlarm": (300, 4, 2),
        "NothingGetsThroughAlarm": (900, 1, 1),
        "QuotaExceededAlarm": (300, 1, 1),
        "MappingsRejectedAlarm": (300, 1, 1),
    }
    for name, expected in wanted.items():
        alarm = stack.resources[name]["Properties"]
        periods = alarm["EvaluationPeriods"]
        found = (_period(alarm), periods, alarm.get("DatapointsToAlarm", periods))
        if found != expected:
            yield f"{name} looks at {found}, and should at {expected}"


CHECKS = [
    metrics_are_those_of_the_program,
    alarms_say_what_to_do,
    every_lane_is_watched,
    alarms_about_all_lanes_look_at_each,
    an_outage_and_a_silence_are_noticed_in_time,
]
