/* A stand-in for Meta's fbevents.js: it understands the calls of the Pixel and reports what it would have sent. */
(function () {
  'use strict';
  var board = __BOARD__, fbq = window.fbq;
  if (!fbq || fbq.callMethod) return;
  var pixels = {}, granted = true, held = [], place = location.href;

  function report(record) {
    if (!granted) return void held.push(record);
    var body = JSON.stringify(record);
    if (!navigator.sendBeacon || !navigator.sendBeacon(board, body)) fetch(board, { method: 'POST', body: body, mode: 'no-cors', keepalive: true });
  }
  function fire(id, name, params, options) {
    report({
      pixel: id, event: name, eventID: options && options.eventID ? String(options.eventID) : null, params: params || {},
      user: Object.keys(pixels[id] || {}), url: location.href, time: Date.now()
    });
  }
  var verbs = {
    init: function (id, user) { pixels[id] = Object.assign(pixels[id] || {}, user); },
    track: function (name, params, options) { Object.keys(pixels).forEach(function (id) { fire(id, name, params, options); }); },
    trackSingle: function (id, name, params, options) { if (pixels[id]) fire(id, name, params, options); },
    consent: function (choice) {
      granted = choice === 'grant';
      if (granted) held.splice(0).forEach(report);
    }
  };
  verbs.trackCustom = verbs.track;
  verbs.trackSingleCustom = verbs.trackSingle;

  fbq.callMethod = function (verb) {
    if (verbs[verb]) verbs[verb].apply(null, [].slice.call(arguments, 1));
  };
  while (fbq.queue.length) fbq.callMethod.apply(fbq, fbq.queue.shift());

  /* Like the original, a PageView without an id for each in-page navigation. */
  ['pushState', 'replaceState'].forEach(function (name) {
    var native = history[name];
    history[name] = function () {
      native.apply(this, arguments);
      if (!fbq.disablePushState && location.href !== place) verbs.track('PageView');
      place = location.href;
    };
  });
})();
