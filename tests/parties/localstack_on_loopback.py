"""Starts LocalStack's core so that it listens on loopback only.

LocalStack takes the port from GATEWAY_LISTEN but not the address: it listens on all interfaces. Its server asks
Twisted for an endpoint, and that is where the address can be given.
"""

import functools

from twisted.internet import endpoints

endpoints.TCP4ServerEndpoint = functools.partial(endpoints.TCP4ServerEndpoint, interface="127.0.0.1")

from localstack.runtime import main  # noqa: E402 (only now, so that it finds the endpoint above)

main.main()
