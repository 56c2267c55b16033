// Plays a plan with Meta's SDK for Node, which is unmodified but for its host. Reads the plan as JSON from standard input
// and prints what came of each step as a line of JSON. The crash reporter is on, as the SDK switches it on by itself; a
// step that is not to be caught ends the script as it would end a shop's.
'use strict';

const sdk = require('facebook-nodejs-business-sdk');

let host = '';
Object.defineProperty(sdk.FacebookAdsApi, 'GRAPH', { configurable: true, get: () => host });

// A shop's own HTTP client, as Meta's documentation tells to write one.
const ownClient = {
  async executeRequest(url, method, headers, params) {
    const answer = await fetch(url, { method, headers, body: JSON.stringify(params) });
    return answer.json();
  },
};

function event(step, order) {
  const user = new sdk.UserData().setEmail(' Jo@Shop.Example ').setPhone('6505551212').setFbp(step.fbp).setGender('x');
  const data = new sdk.CustomData().setCurrency('EUR').setOrderId(order);
  if (!step.no_value) data.setValue(11.5);
  if (step.padding) data.setCustomProperties({ padding: 'x'.repeat(step.padding) });
  const made = new sdk.ServerEvent()
    .setEventName('Purchase')
    .setEventTime(Math.floor(Date.now() / 1000) - (step.age || 0))
    .setEventId(`own-${order}`)
    .setUserData(user)
    .setCustomData(data);
  return step.no_action_source ? made : made.setActionSource('website');
}

function request(plan, step) {
  host = plan.graph + (step.path || '');
  const events = step.orders.map((order) => event(step, order));
  const made = new sdk.EventRequest(step.key || plan.key, step.pixel || plan.pixel, events);
  if (step.test_event_code) made.setTestEventCode(step.test_event_code);
  switch (step.way) {
    case 'execute':
      return made.execute();
    case 'client':
      return made.setHttpService(ownClient).execute();
    case 'batch':
      return new sdk.BatchProcessor(2, 2).processEvents(made, events);
    default:
      throw new Error(`no such way: ${step.way}`);
  }
}

function told(answer) {
  if (!(answer instanceof sdk.EventResponse)) return answer ?? null;
  return { events_received: answer.events_received, messages: answer.messages, fbtrace_id: answer.fbtrace_id };
}

async function play(plan, step) {
  try {
    return { answer: told(await request(plan, step)) };
  } catch (error) {
    const body = error.response || {};
    return {
      raised: error.name,
      status: error.status,
      code: body.code ?? null,
      subcode: body.error_subcode ?? null,
      transient: body.is_transient ?? null,
    };
  }
}

async function main() {
  let text = '';
  for await (const piece of process.stdin) text += piece;
  const plan = JSON.parse(text);
  for (const step of plan.steps) {
    if (step.uncaught) await request(plan, step);
    console.log(JSON.stringify({ step: step.name, ...(await play(plan, step)) }));
  }
}

main();
