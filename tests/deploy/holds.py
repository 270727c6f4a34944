"""What must hold of the system, whichever description it is read from. Each check takes a stack and gives its problems.

`mutations.json` has a way to break each of them.
"""

import re

import alarms
from cloudformation import Stack
from lanes import DAY_SECS, ROOT, lanes

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
    *alarms.CHECKS,
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
