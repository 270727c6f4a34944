"""What must hold of the system, whichever description it is read from. Each check takes a stack and gives its problems.

`mutations.json` has a way to break each of them.
"""

import json
import re
from pathlib import Path

from cloudformation import Stack

ROOT = Path(__file__).parents[2]
DAY_SECS = 86_400
POISON_SECS = 300
# What a message that never loads waits before it comes back: the last row of the table in src/outcome/backoff.rs.
POISON_WAIT_SECS = 2

# Variables that the HTTP client reads, for calls to Google (src/cloud/google/http.rs), and the parameters that they come from.
OF_THE_HTTP_CLIENT = {"HTTPS_PROXY": "HttpsProxy", "NO_PROXY": "NoProxy", "SSL_CERT_FILE": "CertificateFile"}
# Variables that the program reads and a deployment leaves alone.
NOT_SET = {
    "GOOGLE_APPLICATION_CREDENTIALS": "a file with a key, or one that says what DMS2BQ_GOOGLE_PROVIDER says",
    "BIGQUERY_EMULATOR_HOST": "for rehearsals",
    "CLOUDSDK_CONFIG": "where gcloud keeps a person's sign-in, for the command line",
    "HOME": "the same; a function has nobody's home",
    "AWS_LAMBDA_FUNCTION_NAME": "Lambda sets it",
}


class Lane:
    """A queue with its dead-letter queue, function and event source."""

    def __init__(self, stack: Stack, queue: str, dead: str, function: str):
        self.queue_id, self.dead_id, self.function_id = queue, dead, function
        self.queue = stack.resources[queue]["Properties"]
        self.dead = stack.resources[dead]["Properties"]
        self.function = stack.resources[function]["Properties"]
        self.source = stack.resources[f"{function}Messages"]["Properties"]


def lanes(stack: Stack) -> list[Lane]:
    found = [Lane(stack, "Queue", "DeadLetterQueue", "LoaderLambdaFunction")]
    if "FullLoadLambdaFunction" in stack.resources:
        found.append(Lane(stack, "FullLoadQueue", "FullLoadDeadLetterQueue", "FullLoadLambdaFunction"))
    return found


def environment_is_what_the_program_reads(stack: Stack):
    names = set(re.findall(r'pub const \w+: &str = "(\w+)";', (ROOT / "src/config.rs").read_text()))
    for lane in lanes(stack):
        variables = lane.function["Environment"]["Variables"]
        for name, parameter in OF_THE_HTTP_CLIENT.items():
            # Empty would not be unset to everybody.
            if variables.get(name) != (stack.parameters[parameter] or None):
                yield f"{name} of {lane.function_id} is {variables.get(name)}"
        if lane.function.get("Layers", []) != [arn for arn in [stack.parameters["CertificateLayerArn"]] if arn]:
            yield f"{lane.function_id} has the layers {lane.function.get('Layers')}"
        given = set(variables) - OF_THE_HTTP_CLIENT.keys()
        yield from (f"{lane.function_id} sets {name}, which src/config.rs does not read" for name in sorted(given - names))
        missing = names - given - NOT_SET.keys()
        yield from (f"{lane.function_id} does not set {name}, which src/config.rs reads" for name in sorted(missing))


def partial_replies_are_on_at_both_ends(stack: Stack):
    for lane in lanes(stack):
        if lane.source.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"the event source of {lane.function_id} ignores partial replies"
        if lane.function["Environment"]["Variables"].get("DMS2BQ_PARTIAL_BATCH_RESPONSE") != "on":
            yield f"{lane.function_id} does not know that partial replies are honoured"


def visibility_outlasts_a_batch(stack: Stack):
    for lane in lanes(stack):
        least = 6 * lane.function["Timeout"] + lane.source["MaximumBatchingWindowInSeconds"]
        if not least <= lane.queue["VisibilityTimeout"] <= 43_200:
            yield f"the visibility of {lane.queue_id} is {lane.queue['VisibilityTimeout']} s, and has to be at least {least} s"


def poison_is_dead_lettered_in_five_minutes(stack: Stack):
    for lane in lanes(stack):
        receives = lane.queue["RedrivePolicy"]["maxReceiveCount"]
        if receives != 50:
            yield f"maxReceiveCount of {lane.queue_id} is {receives}; src/outcome/backoff.rs reckons with 50"
        takes = receives * (POISON_WAIT_SECS + lane.source["MaximumBatchingWindowInSeconds"])
        if takes > POISON_SECS:
            yield f"poison takes {takes} s through {lane.queue_id}"


def batches_are_small(stack: Stack):
    for lane in lanes(stack):
        if not 1 <= lane.source["BatchSize"] <= 10:
            yield f"{lane.function_id} takes batches of {lane.source['BatchSize']}"
        if not 2 <= lane.source.get("ScalingConfig", {}).get("MaximumConcurrency", 0) <= 1000:
            yield f"{lane.function_id} has no maximum concurrency, so throttled receives would use up messages"


def dead_letters_can_go_home(stack: Stack):
    for lane in lanes(stack):
        if lane.queue["RedrivePolicy"]["deadLetterTargetArn"] != _arn(lane.dead):
            yield f"{lane.queue_id} does not dead-letter to {lane.dead_id}"
        allowed = lane.dead.get("RedriveAllowPolicy")
        if allowed != {"redrivePermission": "byQueue", "sourceQueueArns": [_arn(lane.queue)]}:
            yield f"{lane.dead_id} allows {allowed}"
        for queue, days in [(lane.queue, 4), (lane.dead, 14)]:
            if queue["MessageRetentionPeriod"] != days * DAY_SECS:
                yield f"{queue['QueueName']} keeps messages for {queue['MessageRetentionPeriod']} s, not {days} days"


def each_lane_listens_to_its_queue(stack: Stack):
    for lane in lanes(stack):
        if lane.source["EventSourceArn"] != _arn(lane.queue) or lane.source["FunctionName"] != lane.function_id:
            yield f"{lane.function_id} listens to {lane.source['EventSourceArn']}"


def functions_are_custom_runtimes(stack: Stack):
    for lane in lanes(stack):
        if (lane.function["Runtime"], lane.function["Handler"]) != ("provided.al2023", "bootstrap"):
            yield f"{lane.function_id} runs {lane.function['Handler']} on {lane.function['Runtime']}"
        if lane.function["Architectures"] != [stack.parameters["Architecture"]]:
            yield f"{lane.function_id} is for {lane.function['Architectures']}"


def statements(stack: Stack) -> list[dict]:
    found = []
    for role in stack.of_type("AWS::IAM::Role").values():
        found += [each for policy in role["Policies"] for each in policy["PolicyDocument"]["Statement"]]
    for policy in stack.of_type("AWS::SQS::QueuePolicy").values():
        found += policy["PolicyDocument"]["Statement"]
    return found


def no_right_is_a_wildcard(stack: Stack):
    for statement in statements(stack):
        for action in _list(statement["Action"]):
            if "*" in action:
                yield f"{statement['Sid']} allows {action}"
        for resource in _list(statement["Resource"]):
            if resource == "*" and statement["Sid"] != "LiveInTheVpc":
                yield f"{statement['Sid']} is about every resource"
    if any("ManagedPolicyArns" in role for role in stack.of_type("AWS::IAM::Role").values()):
        yield "a managed policy allows what nobody reads here"


def the_role_can_do_its_work(stack: Stack):
    # Of both lanes, always: where a lane is taken away, its function ends its work.
    queues = [_arn(stack.resources[name]["Properties"]) for name in ("Queue", "FullLoadQueue")]
    bucket = f"arn:aws:s3:::{stack.parameters['LandingBucket']}"
    folders = stack.parameters["LandingFolders"]
    objects = [f"{bucket}/*" if folder == "*" else f"{bucket}/{folder}/*" for folder in folders.split(",")]
    mappings = lanes(stack)[0].function["Environment"]["Variables"]["DMS2BQ_MAPPINGS"]
    mappings_bucket, mappings_prefix = re.fullmatch("s3://([^/]+)/(.+)", mappings).groups()
    needed = {
        "s3:GetObject": [*objects, f"arn:aws:s3:::{mappings_bucket}/{mappings_prefix}/*"],
        "s3:GetObjectVersion": objects,
        "s3:ListBucket": [bucket, f"arn:aws:s3:::{mappings_bucket}"],
        "sqs:ReceiveMessage": queues,
        "sqs:DeleteMessage": queues,
        "sqs:GetQueueAttributes": queues,
        "sqs:ChangeMessageVisibility": queues,
        "logs:CreateLogStream": ["<LogGroup.Arn>"],
        "logs:PutLogEvents": ["<LogGroup.Arn>"],
        "kms:Decrypt": [arn for arn in stack.parameters["KmsKeyArns"] if arn],
    }
    given: dict[str, set] = {}
    for role in stack.of_type("AWS::IAM::Role").values():
        for policy in role["Policies"]:
            for each in policy["PolicyDocument"]["Statement"]:
                if each["Sid"] != "LiveInTheVpc":
                    for action in _list(each["Action"]):
                        given.setdefault(action, set()).update(_list(each["Resource"]))
    for action in sorted(needed.keys() | given.keys()):
        expected, found = set(needed.get(action, [])), given.get(action, set())
        if expected != found:
            yield f"the role may {action} on {sorted(found)}, and should on {sorted(expected)}"


def listing_is_for_mapped_folders(stack: Stack):
    folders = stack.parameters["LandingFolders"]
    wanted = {
        "TellMissingFromDenied": [folder if folder == "*" else f"{folder}/*" for folder in folders.split(",")],
        "ListMappings": [f"{stack.parameters['MappingsPrefix']}/*"],
    }
    for statement in statements(stack):
        if statement["Sid"] in wanted:
            # A GET names no prefix, and is 404 for a missing file only to who may list. Mappings are found by a listing.
            test = "StringLikeIfExists" if statement["Sid"] == "TellMissingFromDenied" else "StringLike"
            prefixes = statement.get("Condition", {}).get(test, {}).get("s3:prefix", [])
            if _list(prefixes) != wanted.pop(statement["Sid"]):
                yield f"{statement['Sid']} is about {prefixes}"
    yield from (f"there is no statement {sid}" for sid in wanted)


# By queue: the names of the rules that may ever send there. The bucket may send to the first.
SENDERS = {
    "Queue": ["dms2bq-objects", "dms2bq-changes"],
    "FullLoadQueue": ["dms2bq-full-loads"],
    "UndeliveredQueue": ["dms2bq-objects", "dms2bq-changes", "dms2bq-full-loads"],
}


def only_the_bucket_or_its_rules_may_send(stack: Stack):
    """Whatever the parameters say: while they change, the old way still tells, and the new one begins to."""
    bucket = f"arn:aws:s3:::{stack.parameters['LandingBucket']}"
    for queue, rules in SENDERS.items():
        policy = stack.resources[f"{queue}Policy"]["Properties"]
        arns = [f"arn:aws:events:eu-west-1:123456789012:rule/{rule}" for rule in rules]
        wanted = [("events.amazonaws.com", f"ArnEquals aws:SourceArn {sorted(arns)}")]
        if queue == "Queue":
            wanted.insert(0, ("s3.amazonaws.com", f"ArnEquals aws:SourceArn {[bucket]}, StringEquals aws:SourceAccount ['123456789012']"))
        found = [(each["Principal"]["Service"], _in_words(each.get("Condition", {}))) for each in policy["PolicyDocument"]["Statement"]]
        if found != wanted:
            yield f"{queue} lets send {found}, and should let {wanted}"


def _in_words(condition: dict) -> str:
    return ", ".join(f"{test} {key} {sorted(_list(value))}" for test, each in condition.items() for key, value in each.items())


def a_change_of_parameters_deletes_no_message(stack: Stack):
    queues = {name for name, resource in stack.resources.items() if resource["Type"] == "AWS::SQS::Queue"}
    if queues != {"Queue", "DeadLetterQueue", "FullLoadQueue", "FullLoadDeadLetterQueue", "UndeliveredQueue"}:
        yield f"with other parameters there are other queues than {sorted(queues)}"
    for name in sorted(queues):
        life = [stack.resources[name].get(key) for key in ("DeletionPolicy", "UpdateReplacePolicy")]
        if life != ["RetainExceptOnCreate", "Retain"]:
            yield f"{name} is deleted with what is in it: {life}"


def a_rule_is_let_in_before_it_tells(stack: Stack):
    for name, resource in stack.resources.items():
        if resource["Type"] == "AWS::Events::Rule":
            [target] = resource["Properties"]["Targets"]
            queue = next(queue for queue in SENDERS if _arn(stack.resources[queue]["Properties"]) == target["Arn"])
            if sorted(resource.get("DependsOn", [])) != sorted([f"{queue}Policy", "UndeliveredQueuePolicy"]):
                yield f"{name} is made when the policies may be missing: {resource.get('DependsOn')}"
            if resource["Properties"].get("Name") not in SENDERS[queue]:
                yield f"{name} is called {resource['Properties'].get('Name')}, which the policy of {queue} does not name"


def every_event_pattern_is_for_the_bucket(stack: Stack):
    for name, rule in stack.of_type("AWS::Events::Rule").items():
        pattern = rule["EventPattern"]
        told = (pattern["source"], pattern["detail-type"], pattern["detail"]["bucket"]["name"])
        if told != (["aws.s3"], ["Object Created"], [stack.parameters["LandingBucket"]]):
            yield f"{name} is about {told}"
        [target] = rule["Targets"]
        if "DeadLetterConfig" not in target:
            yield f"what {name} cannot deliver is lost"


def a_bucket_of_its_own_tells_the_queue(stack: Stack):
    if "OwnLandingBucket" not in stack.resources:
        return
    bucket = stack.resources["OwnLandingBucket"]["Properties"]
    prefix = stack.parameters["NotificationPrefix"]
    wanted = {}
    if stack.parameters["Notification"] in ("eventbridge", "both"):
        wanted["EventBridgeConfiguration"] = {"EventBridgeEnabled": True}
    if stack.parameters["Notification"] in ("s3", "both"):
        told = {"Queue": _arn(lanes(stack)[0].queue), "Event": "s3:ObjectCreated:*"}
        narrowed = {"Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": prefix}]}}} if prefix else {}
        wanted["QueueConfigurations"] = [told | narrowed]
    if bucket["NotificationConfiguration"] != wanted:
        yield f"the bucket tells {bucket['NotificationConfiguration']}"


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


def buckets_stay_private(stack: Stack):
    for name, bucket in stack.of_type("AWS::S3::Bucket").items():
        if set(bucket["PublicAccessBlockConfiguration"].values()) != {True}:
            yield f"{name} may be made public"


def logs_end_some_day(stack: Stack):
    for name, group in stack.of_type("AWS::Logs::LogGroup").items():
        if group.get("RetentionInDays") != int(stack.parameters["LogRetentionDays"]):
            yield f"{name} keeps logs for {group.get('RetentionInDays')} days"
    for lane in lanes(stack):
        if lane.function["LoggingConfig"] != {"LogGroup": "<LogGroup>"}:
            yield f"{lane.function_id} logs to {lane.function['LoggingConfig']}"


def _arn(queue: dict) -> str:
    return f"arn:aws:sqs:eu-west-1:123456789012:{queue['QueueName']}"


def _list(value):
    return value if isinstance(value, list) else [value]


CHECKS = [
    environment_is_what_the_program_reads,
    partial_replies_are_on_at_both_ends,
    visibility_outlasts_a_batch,
    poison_is_dead_lettered_in_five_minutes,
    batches_are_small,
    dead_letters_can_go_home,
    each_lane_listens_to_its_queue,
    functions_are_custom_runtimes,
    no_right_is_a_wildcard,
    the_role_can_do_its_work,
    listing_is_for_mapped_folders,
    only_the_bucket_or_its_rules_may_send,
    a_change_of_parameters_deletes_no_message,
    a_rule_is_let_in_before_it_tells,
    every_event_pattern_is_for_the_bucket,
    a_bucket_of_its_own_tells_the_queue,
    metrics_are_those_of_the_program,
    alarms_say_what_to_do,
    every_lane_is_watched,
    alarms_about_all_lanes_look_at_each,
    an_outage_and_a_silence_are_noticed_in_time,
    buckets_stay_private,
    logs_end_some_day,
]


def problems(stack: Stack) -> list[str]:
    return [f"{check.__name__}: {problem}" for check in CHECKS for problem in _of(check, stack)]


def _of(check, stack: Stack) -> list[str]:
    try:
        return list(check(stack))
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # What it looks at is not there.
        return [f"could not be asked: {error!r}"]
