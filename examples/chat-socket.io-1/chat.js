// An app as of 2015. Only its address has changed.
(function () {
  'use strict';

  var query = parseQuery(location.search);
  var url = query.url || 'http://127.0.0.1:4000';
  var conversation = { conversation_id: 1 };
  var newestId = 0;
  var shown = {};

  logIn(query.email || 'ann@example.com', 'parley', function (token) {
    var socket = io.connect(url);

    // Rooms belong to the connection: join again after each connect, and read what was missed.
    socket.on('connect', function () {
      socket.emit('authenticate', { token: token });
      socket.emit(
        'join_conversation',
        newestId === 0 ? conversation : { conversation_id: 1, after_message_id: newestId },
      );
    });
    // The reply to each event. From this one on, messages arrive.
    socket.on('success', function (reply) {
      if (reply === 'Vous avez rejoins la conversation : conversation_1') show('Connected');
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
      if (!message || !frame.sender || shown[message.id]) return;
      shown[message.id] = true;
      newestId = Math.max(newestId, message.id);
      addMessage(frame.sender.first_name || frame.sender.name, message.content);
    });

    document.getElementById('composer').onsubmit = function () {
      var text = document.getElementById('text');
      socket.emit('message', { conversation_id: 1, text_message: text.value });
      text.value = '';
      return false;
    };
  });

  /** Such apps logged in over REST. Here it is a mutation. */
  function logIn(email, password, onToken) {
    var request = new XMLHttpRequest();
    request.open('POST', url + '/graphql');
    request.setRequestHeader('content-type', 'application/json');
    request.onload = function () {
      onToken(JSON.parse(request.responseText).data.login.token);
    };
    request.onerror = function () {
      show('No answer from ' + url);
    };
    request.send(
      JSON.stringify({
        query:
          'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }',
        variables: { email: email, password: password },
      }),
    );
  }

  function addMessage(name, text) {
    var item = document.createElement('li');
    item.textContent = name + ': ' + text;
    document.getElementById('messages').appendChild(item);
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
