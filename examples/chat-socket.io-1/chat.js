// An app as of 2015. Only its address has changed.
(function () {
  'use strict';

  var query = parseQuery(location.search);
  var url = query.url || 'http://127.0.0.1:4000';
  var conversation = { conversation_id: 1 };
  var newestId = 0;
  var hasHistory = false;
  var shown = {};

  logIn(query.email || 'ann@example.com', 'parley', function (token) {
    var socket = io.connect(url);

    // Rooms belong to the connection: join again after each connect, and read what was missed.
    socket.on('connect', function () {
      socket.emit('authenticate', { token: token });
      socket.emit(
        'join_conversation',
        hasHistory && newestId > 0 ? { conversation_id: 1, after_message_id: newestId } : conversation,
      );
    });
    // The reply to each event. From this one on, messages arrive: those from before it are read now, so that none is missed.
    socket.on('success', function (reply) {
      if (reply !== 'Vous avez rejoins la conversation : conversation_1') return;
      show('Connected');
      if (!hasHistory || newestId === 0) readHistory(token);
    });
    socket.on('disconnect', function () {
      show('Connection lost');
    });
    socket.on('error', function (text) {
      show('Error: ' + text);
    });
    // Without a sender while files are uploaded: the message comes again afterwards, and may come again after a join.
    socket.on('message', function (frame) {
      var message = frame.message;
      if (!message || !frame.sender) return;
      addMessage(message.id, frame.sender.first_name || frame.sender.name, message.content);
    });

    document.getElementById('composer').onsubmit = function () {
      var text = document.getElementById('text');
      socket.emit('message', { conversation_id: 1, text_message: text.value });
      text.value = '';
      return false;
    };
  });

  /** Such apps logged in and read messages over REST. Here both are GraphQL. */
  function logIn(email, password, onToken) {
    var query =
      'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';
    send(null, query, { email: email, password: password }, function (data) {
      onToken(data.login.token);
    });
  }

  /** Shows the newest messages. */
  function readHistory(token) {
    var query =
      '{ conversation(id: "Conversation:1") { messages(last: 20) { nodes {' +
      ' legacyId text author { ... on User { firstName } ... on Device { name } } } } } }';
    send(token, query, {}, function (data) {
      hasHistory = true;
      data.conversation.messages.nodes.forEach(function (message) {
        var author = message.author || { name: 'Deleted account' };
        addMessage(message.legacyId, author.firstName || author.name, message.text);
      });
    });
  }

  function send(token, query, variables, onData) {
    var request = new XMLHttpRequest();
    request.open('POST', url + '/graphql');
    request.setRequestHeader('content-type', 'application/json');
    if (token) request.setRequestHeader('authorization', 'Bearer ' + token);
    request.onload = function () {
      var result = JSON.parse(request.responseText);
      if (result.errors) show('Error: ' + result.errors[0].message);
      else onData(result.data);
    };
    request.onerror = function () {
      show('No answer from ' + url);
    };
    request.send(JSON.stringify({ query: query, variables: variables }));
  }

  /** Adds a message in the order of the ids, unless it is shown. */
  function addMessage(id, name, text) {
    if (shown[id]) return;
    shown[id] = true;
    newestId = Math.max(newestId, id);
    var list = document.getElementById('messages');
    var item = document.createElement('li');
    item.value = id;
    item.textContent = name + ': ' + text;
    var next = list.lastChild;
    while (next && next.value > id) next = next.previousSibling;
    list.insertBefore(item, next ? next.nextSibling : list.firstChild);
  }

  function show(state) {
    document.getElementById('state').textContent = state;
  }

  function parseQuery(text) {
    var values = {};
    text.replace(/[?&]([^=]+)=([^&]*)/g, function (_, name, value) {
      values[name] = decodeURIComponent(value);
    });
    return values;
  }
})();
