"""Plays a plan with Meta's SDK for Python, which is unmodified but for its host.

Reads the plan as JSON from standard input and prints what came of each step as a line of JSON. The crash reporter is on,
as it is by default; a step that is not to be caught ends the script as it would end a shop's.
"""

import asyncio
import json
import sys
import time

import requests
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.event_request_async import EventRequestAsync
from facebook_business.adobjects.serverside.http_service_interface import HttpServiceInterface
from facebook_business.adobjects.serverside.user_data import UserData
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError
from facebook_business.session import FacebookSession


class JsonClient(HttpServiceInterface):
    """A shop's own HTTP client, as Meta's documentation tells to write one; the parameters go as JSON."""

    def execute(self, url, method, request_options, headers, params):
        return requests.post(url, headers=headers, json=params, timeout=30).json()


class FormClient(HttpServiceInterface):
    """Another one, which gives the parameters to its library as a form; that spreads the list of events."""

    def execute(self, url, method, request_options, headers, params):
        return requests.post(url, headers=headers, data=params, timeout=30).json()


def event(step, order):
    made = Event(
        event_name="Purchase",
        event_time=int(time.time()) - step.get("age", 0),
        event_id=f"own-{order}",
        action_source=None if step.get("no_action_source") else ActionSource.WEBSITE,
        user_data=UserData(email=" Jo@Shop.Example ", phone="(650) 555-1212", fbp=step.get("fbp"), client_ip_address="", fbc=""),
        custom_data=CustomData(
            value=None if step.get("no_value") else 11.5,
            currency="EUR",
            order_id=order,
            custom_properties={"padding": "x" * step.get("padding", 0)} if "padding" in step else {},
        ),
    )
    if "environ" in step:
        # Meta's param builder reads the buyer's request, here as a WSGI application has it.
        made.set_request_context(step["environ"])
    return made


def request(plan, step):
    key = step.get("key", plan["key"])
    FacebookSession.GRAPH = plan["graph"] + step.get("path", "")
    FacebookAdsApi.init(access_token=key)
    events = [event(step, order) for order in step["orders"]]
    common = {"pixel_id": step.get("pixel", plan["pixel"]), "events": events, "test_event_code": step.get("test_event_code")}
    way = step["way"]
    if way == "sync":
        return EventRequest(**common).execute()
    if way == "async":
        return asyncio.run(EventRequestAsync(**common).execute())
    client = {"json client": JsonClient, "form client": FormClient}[way]()
    return EventRequest(http_client=client, access_token=key, **common).execute()


def told(answer):
    if isinstance(answer, dict):
        return answer
    return {"events_received": answer.events_received, "messages": answer.messages, "fbtrace_id": answer.fbtrace_id}


def play(plan, step):
    try:
        return {"answer": told(request(plan, step))}
    except FacebookRequestError as error:
        return {
            "raised": "FacebookRequestError",
            "status": error.http_status(),
            "code": error.api_error_code(),
            "subcode": error.api_error_subcode(),
            "transient": error.api_transient_error(),
        }
    except Exception as error:
        return {"raised": type(error).__name__}


def main():
    plan = json.load(sys.stdin)
    for step in plan["steps"]:
        if step.get("uncaught"):
            request(plan, step)
        print(json.dumps({"step": step["name"], **play(plan, step)}), flush=True)


main()
