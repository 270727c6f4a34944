"""A stack's lanes: each a queue with its dead-letter queue, function and event source."""

from pathlib import Path

from cloudformation import Stack

ROOT = Path(__file__).parents[2]
DAY_SECS = 86_400


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
