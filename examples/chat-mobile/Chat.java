import com.github.nkzawa.socketio.client.IO;
import com.github.nkzawa.socketio.client.Socket;
import java.net.URISyntaxException;
import java.util.HashMap;
import java.util.Map;
import org.json.JSONException;
import org.json.JSONObject;

/** The chat screen of an Android app of 2015, on com.github.nkzawa:socket.io-client 0.3 to 0.6. */
public final class Chat {
    private final Socket socket;
    private final int conversationId;

    /** The token is the result of the mutation `login`. */
    public Chat(String address, String token, int conversationId) throws URISyntaxException {
        this.conversationId = conversationId;
        socket = IO.socket(address);
        // Rooms belong to the connection: join again after each connect.
        socket.on(Socket.EVENT_CONNECT, arguments -> {
            socket.emit("authenticate", json("token", token));
            socket.emit("join_conversation", json("conversation_id", conversationId));
        });
        socket.on("message", arguments -> onMessage((JSONObject) arguments[0]));
        socket.on("error", arguments -> System.err.println(arguments[0]));
        socket.connect();
    }

    public void send(String text) {
        socket.emit("message", json("conversation_id", conversationId, "text_message", text));
    }

    public void close() {
        socket.disconnect();
    }

    private void onMessage(JSONObject frame) {
        try {
            // Frames without `message` announce an edited or a deleted message.
            JSONObject message = frame.optJSONObject("message");
            if (message != null) System.out.println(message.getString("content"));
        } catch (JSONException error) {
            throw new IllegalArgumentException(error);
        }
    }

    private static JSONObject json(Object... namesAndValues) {
        Map<String, Object> fields = new HashMap<>();
        for (int i = 0; i < namesAndValues.length; i += 2)
            fields.put((String) namesAndValues[i], namesAndValues[i + 1]);
        return new JSONObject(fields);
    }
}
