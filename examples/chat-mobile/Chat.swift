import Foundation
import SocketIO

/// The chat screen of an iOS app, on Socket.IO-Client-Swift 13 to 15.
final class Chat {
    private let manager: SocketManager
    private let conversationId: Int

    /// The token is the result of the mutation `login`.
    init(address: URL, token: String, conversationId: Int) {
        self.conversationId = conversationId
        manager = SocketManager(socketURL: address)
        let socket = manager.defaultSocket
        // Rooms belong to the connection: join again after each connect.
        socket.on(clientEvent: .connect) { _, _ in
            socket.emit("authenticate", ["token": token])
            socket.emit("join_conversation", ["conversation_id": conversationId])
        }
        socket.on("message") { data, _ in
            // Frames without `message` announce an edited or a deleted message.
            guard let frame = data[0] as? [String: Any], let message = frame["message"] as? [String: Any] else { return }
            print(message["content"] as? String ?? "")
        }
        socket.on("error") { data, _ in
            print(data)
        }
        socket.connect()
    }

    func send(_ text: String) {
        manager.defaultSocket.emit("message", ["conversation_id": conversationId, "text_message": text])
    }

    func close() {
        manager.disconnect()
    }
}
