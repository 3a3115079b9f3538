// The keeper's end of the command socket. It takes commands from every user who may use the tunnel.
// root speaks as the owner (KeeperConnection).

import Glibc
import SpunnelSystem
import SpunnelTunnel

/// Receives what command clients ask of the keeper.
protocol CommandObserver: AnyObject {
  func commanded(_ command: KeeperCommand, by client: CommandClient)
  /// The client has disconnected. The forwards that it held are closed.
  func commandEnded(_ client: CommandClient)
}

final class CommandServer: EventHandler {
  private static let mostClients = 64
  /// Milliseconds before another attempt if descriptors are used up.
  private static let pause = 50

  private let loop: EventLoop
  /// `nil` once the keeper takes no more commands.
  private var socket: FileDescriptor?
  private let mayCommand: (uid_t) -> Bool
  private weak var observer: (any CommandObserver)?
  private var clients: [CommandClient] = []

  /// Listens on the command socket.
  ///
  /// - Parameters:
  ///   - path: of the socket, in the record; the umask makes it accessible to the owner only
  ///   - mayCommand: whether a user may send commands
  ///   - observer: called for each command and each client's end
  init(
    _ loop: EventLoop, path: String, mayCommand: @escaping (uid_t) -> Bool,
    observer: any CommandObserver
  ) throws(SystemError) {
    self.loop = loop
    self.mayCommand = mayCommand
    self.observer = observer
    let socket = try Socket.listen(unix: path)
    try loop.add(socket.raw, [.input], self)
    self.socket = consume socket
  }

  var isIdle: Bool { clients.isEmpty }

  func handle(_ descriptor: CInt, _ readiness: Readiness) {
    do throws(SystemError) {
      while let raw = socket?.raw, let accepted = try Socket.accept(from: raw) {
        admit(accepted.descriptor)
      }
    } catch {
      // No descriptor is free.
      loop.rest(descriptor, milliseconds: CommandServer.pause, [.input], self) { [weak self] in
        self?.socket?.raw == descriptor
      }
    }
  }

  /// Takes a new client. A user who may not command finds the connection closed without a message.
  private func admit(_ socket: consuming FileDescriptor) {
    do throws(SystemError) {
      let user = try Socket.peerUser(of: socket.raw)
      guard mayCommand(user) else { return }
      if clients.count >= CommandServer.mostClients {
        let reason = "\(clients.count) commands wait for this tunnel already: end one of them"
        return try socket.writeAll(Array(KeeperReport.failed(reason).line.utf8))
      }
      clients.append(
        try CommandClient(
          loop, socket,
          heard: { [weak self] in self?.observer?.commanded($0, by: $1) },
          ended: { [weak self] in self?.forget($0) }))
    } catch {}
  }

  /// Tells every client that the tunnel is over, and stops listening. A client that connected but
  /// was not accepted yet finds the connection closed.
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
final class CommandClient {
  private var line: ReportSocket?
  private var words = LineBuffer(longest: 1 << 20)
  private var heard: ((KeeperCommand, CommandClient) -> Void)?
  private var ended: ((CommandClient) -> Void)?

  /// Starts to read the client's command.
  ///
  /// - Parameters:
  ///   - socket: connected; the client owns it
  ///   - heard: called once with the command
  ///   - ended: called once, when the client has disconnected
  init(
    _ loop: EventLoop, _ socket: consuming FileDescriptor,
    heard: @escaping (KeeperCommand, CommandClient) -> Void,
    ended: @escaping (CommandClient) -> Void
  ) throws(SystemError) {
    self.heard = heard
    self.ended = ended
    line = try ReportSocket(loop, socket) { [weak self] in self?.listen() }
  }

  var isOpen: Bool { line?.isOpen ?? false }

  /// Sends a report. A client that does not read its reports is disconnected.
  func say(_ report: KeeperReport) {
    if line?.backlog ?? 0 > KeeperConnection.longestReport { return end() }
    line?.say(report)
  }

  private func listen() {
    do throws(SystemError) {
      guard let bytes = try line?.read(atMost: 4096) else { return }
      if bytes.isEmpty { return end() }
      words.append(bytes)
      if words.isOverlong {
        say(.failed("a command has \(words.longest) bytes at most: ask for less at once"))
        return end()
      }
      guard let line = words.next(), let heard else { return }
      self.heard = nil
      if let command = KeeperCommand(line: line) { return heard(command, self) }
      say(.failed("'\(printable(line))' is no command: is the installation complete?"))
      end()
    } catch { end() }
  }

  private func end() {
    guard let ended else { return }
    self.ended = nil
    line?.close()
    ended(self)
  }
}
