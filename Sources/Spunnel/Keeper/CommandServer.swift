// The keeper's end of the command socket: only the owner and root are heard.

import Glibc
import SpunnelSystem

/// What a command asks of the keeper.
protocol CommandObserver: AnyObject {
  func commanded(_ command: KeeperCommand, by client: CommandClient)
  /// The client has gone; what it held goes with it.
  func commandEnded(_ client: CommandClient)
}

final class CommandServer: EventHandler {
  private static let mostClients = 64
  /// Milliseconds before another attempt when descriptors are used up.
  private static let pause = 50

  private let loop: EventLoop
  /// `nil` once nobody is heard any more.
  private var socket: FileDescriptor?
  private let owner: uid_t
  private weak var observer: (any CommandObserver)?
  private var clients: [CommandClient] = []
  private var isOver = false

  /// - Parameters:
  ///   - path: in the record; the umask leaves it to the owner alone
  ///   - owner: the tunnel's
  init(
    _ loop: EventLoop, path: String, owner: uid_t, observer: any CommandObserver
  ) throws(SystemError) {
    self.loop = loop
    self.owner = owner
    self.observer = observer
    let socket = try Socket.listen(unix: path)
    try loop.add(socket.raw, [.input], self)
    self.socket = consume socket
  }

  var isIdle: Bool { clients.isEmpty }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      while let raw = socket?.raw, let accepted = try Socket.accept(from: raw) {
        let user = try Socket.peerUser(of: accepted.descriptor.raw)
        guard user == owner || user == 0, clients.count < CommandServer.mostClients else {
          continue
        }
        let client = CommandClient(loop, accepted.descriptor)
        clients.append(client)
        try client.start(
          heard: { [weak self] in self?.observer?.commanded($0, by: $1) },
          ended: { [weak self] in self?.forget($0) })
      }
    } catch {
      // Out of descriptors.
      loop.rest(descriptor, milliseconds: CommandServer.pause, [.input], self) { [weak self] in
        self?.socket?.raw == descriptor
      }
    }
  }

  /// Tells everybody that the tunnel is over, and hears nobody any more: who has connected and was
  /// not accepted finds the connection closed.
  func end(_ report: KeeperReport) {
    if let raw = socket?.raw { loop.remove(raw) }
    socket = nil
    for client in clients { client.say(report) }
  }

  private func forget(_ client: CommandClient) {
    clients.removeAll { $0 === client }
    observer?.commandEnded(client)
  }
}

/// One connection to the command socket.
final class CommandClient: EventHandler {
  private static let longestCommand = 64 * 1024

  private let loop: EventLoop
  private var socket: FileDescriptor?
  private var heard: [UInt8] = []
  private var tell: ((KeeperCommand, CommandClient) -> Void)?
  private var ended: ((CommandClient) -> Void)?

  init(_ loop: EventLoop, _ socket: consuming FileDescriptor) {
    self.loop = loop
    self.socket = consume socket
  }

  var isOpen: Bool { socket != nil }

  func start(
    heard: @escaping (KeeperCommand, CommandClient) -> Void,
    ended: @escaping (CommandClient) -> Void
  ) throws(SystemError) {
    tell = heard
    self.ended = ended
    if let raw = socket?.raw { try loop.add(raw, [.input], self) }
  }

  /// A client that does not listen is none.
  func say(_ report: KeeperReport) {
    do throws(SystemError) { try socket?.writeAll(Array(report.line.utf8)) } catch { end() }
  }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      guard let bytes = try socket?.read(atMost: 4096) ?? nil else { return }
      heard += bytes
      if bytes.isEmpty || heard.count > CommandClient.longestCommand { return end() }
      guard let newline = heard.firstIndex(of: 10), let tell else { return }
      self.tell = nil
      let line = String(decoding: heard[..<newline], as: UTF8.self)
      if let command = KeeperCommand(line: line) { return tell(command, self) }
      say(.failed("'\(printable(line))' is no command: is Spunnel installed as a whole?"))
      end()
    } catch { end() }
  }

  private func end() {
    guard let ended else { return }
    self.ended = nil
    if let raw = socket?.raw { loop.remove(raw) }
    socket = nil
    ended(self)
  }
}
