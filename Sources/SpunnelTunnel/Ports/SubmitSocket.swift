// Submit ends, bound and listening: ports on both loopback addresses, and unix sockets.

import Glibc
import SpunnelSystem

/// One listening socket of a submit end.
public final class SubmitSocket {
  public let descriptor: FileDescriptor
  /// The file of a unix socket, to be removed at the end.
  private let file: SocketFile?
  /// Directories that go with it when they are empty.
  private let folders: [String]

  init(
    _ descriptor: consuming FileDescriptor, file: SocketFile? = nil, emptying folders: [String] = []
  ) {
    self.descriptor = descriptor
    self.file = file
    self.folders = folders
  }

  /// Listens no more, whoever has copies, and leaves no file behind.
  public func end() {
    Socket.stopListening(descriptor.raw)
    file?.remove()
    for folder in folders { _ = unsafe rmdir(folder) }
  }

  /// Whether it is a unix socket.
  var isPath: Bool { file != nil }

  /// Listens no more and keeps its port: whoever connects is refused, and nobody else can bind it.
  func rest() {
    Socket.keepBound(descriptor.raw)
    Socket.stopListening(descriptor.raw)
  }

  /// Listens again.
  func wake() throws(SystemError) { try Socket.listenAgain(descriptor.raw) }

  /// Binds a port on 127.0.0.1 and ::1, both or whichever the host has.
  ///
  /// - Parameter stateDirectory: where it is looked up who holds the port
  public static func bind(
    _ port: Port, stateDirectory: String
  ) throws(SubmitError) -> [SubmitSocket] {
    do throws(SystemError) { return try bind(number: port.number) } catch {
      if error.code != EADDRINUSE { throw .system(error) }
      let holder = RecordView.holder(of: port, in: stateDirectory, user: getuid())
      if let holder { throw .own(port, holder.step) }
      throw .busy(port, on: Host.name)
    }
  }

  /// Binds a port that is free on both addresses.
  public static func bindFree() throws(SubmitError) -> (Port, [SubmitSocket]) {
    var last = SystemError("bind a free port", EADDRINUSE)
    // The kernel chooses for one address; the other may have it in use.
    for _ in 0..<16 {
      do throws(SystemError) {
        guard let first = try bindFirst() else { break }
        let number = try Socket.localAddress(of: first.socket.descriptor.raw).port
        guard let port = Port(number) else { continue }
        return (port, [first.socket] + (try rest(of: number, after: first.loopback)))
      } catch {
        if error.code != EADDRINUSE { throw .system(error) }
        last = error
      }
    }
    throw .system(last)
  }

  private static func bindFirst() throws(SystemError) -> (
    loopback: Loopback, socket: SubmitSocket
  )? {
    var absent: SystemError?
    for loopback in Loopback.allCases {
      do throws(SystemError) {
        return (loopback, SubmitSocket(try Socket.listen(loopback, port: 0)))
      } catch {
        if !isAbsent(error) { throw error }
        absent = error
      }
    }
    if let absent { throw absent }
    return nil
  }

  private static func rest(
    of number: UInt16, after first: Loopback
  ) throws(SystemError) -> [SubmitSocket] {
    guard first == .v4 else { return [] }
    do throws(SystemError) {
      return [SubmitSocket(try Socket.listen(.v6, port: number))]
    } catch {
      if isAbsent(error) { return [] }
      throw error
    }
  }

  private static func bind(number: UInt16) throws(SystemError) -> [SubmitSocket] {
    var bound: [SubmitSocket] = []
    var absent: SystemError?
    for loopback in Loopback.allCases {
      do throws(SystemError) {
        bound.append(SubmitSocket(try Socket.listen(loopback, port: number)))
      } catch {
        if !isAbsent(error) { throw error }
        absent = error
      }
    }
    // One of the two addresses is enough.
    if let absent, bound.isEmpty { throw absent }
    return bound
  }

  /// This host has no such address.
  private static func isAbsent(_ error: SystemError) -> Bool {
    error.code == EADDRNOTAVAIL || error.code == EAFNOSUPPORT
  }

  /// Binds a unix socket for this user alone. A socket of the user's own that nobody listens on,
  /// left by a crash, is replaced.
  static func bind(
    path: String, emptying folders: [String] = []
  ) throws(SubmitError) -> SubmitSocket {
    try verifyPlace(of: path)
    do throws(SystemError) {
      return SubmitSocket(try listen(path), file: SocketFile(path), emptying: folders)
    } catch { throw unbound(path, error) }
  }

  /// Finds out whether a unix socket could be bound, without a trace.
  public static func verify(path: String) throws(SubmitError) {
    try verifyPlace(of: path)
    if SocketFile.isThere(path), !SocketFile.isLeftOver(path) { throw .taken(path: path) }
    do throws(SystemError) {
      try check("bind \(path)") { unsafe access(SubmitSocket.directory(of: path), W_OK | X_OK) }
    } catch { throw unbound(path, error) }
  }

  private static func directory(of path: String) -> String {
    String(path[...(path.lastIndex(of: "/") ?? path.startIndex)])
  }

  /// Nobody else may be able to put another socket in the place of this one: what the user's programs
  /// send would reach him.
  private static func verifyPlace(of path: String) throws(SubmitError) {
    let found: Exposure?
    do throws(SystemError) {
      found = try Directory.exposure(along: directory(of: path), user: getuid())
    } catch { throw unbound(path, SystemError("bind \(path)", error.code)) }
    if let found { throw .exposed(path: path, directory: found.path, why: found.why) }
  }

  private static func unbound(_ path: String, _ error: SystemError) -> SubmitError {
    switch error.code {
    case EADDRINUSE: .taken(path: path)
    case ENOENT, ENOTDIR, EACCES, EROFS: .unplaced(path: path, error)
    default: .system(error)
    }
  }

  private static func listen(_ path: String) throws(SystemError) -> FileDescriptor {
    do throws(SystemError) { return try Socket.listen(unix: path) } catch {
      guard error.code == EADDRINUSE, SocketFile.isLeftOver(path) else { throw error }
      _ = unsafe unlink(path)
      return try Socket.listen(unix: path)
    }
  }
}

/// A socket's file as it was made: another one in its place is not touched.
struct SocketFile {
  private let path: String
  private let device: dev_t
  private let inode: ino_t

  /// - Returns: `nil` when it is not there
  init?(_ path: String) {
    guard let found = SocketFile.look(path) else { return nil }
    self.path = path
    (device, inode) = (found.st_dev, found.st_ino)
  }

  func remove() {
    guard let found = SocketFile.look(path), found.st_dev == device, found.st_ino == inode
    else { return }
    _ = unsafe unlink(path)
  }

  static func isThere(_ path: String) -> Bool { look(path) != nil }

  /// Whether it is a socket of this user.
  static func isOwn(_ path: String) -> Bool {
    look(path).map { $0.st_mode & S_IFMT == S_IFSOCK && $0.st_uid == getuid() } ?? false
  }

  /// Whether it is a socket of this user that refuses connections.
  static func isLeftOver(_ path: String) -> Bool {
    guard let found = look(path), found.st_mode & S_IFMT == S_IFSOCK, found.st_uid == getuid()
    else { return false }
    do throws(SystemError) {
      _ = try Socket.connect(unix: path)
      return false
    } catch { return error.code == ECONNREFUSED }
  }

  private static func look(_ path: String) -> stat? {
    var found = stat()
    return unsafe lstat(path, &found) == 0 ? found : nil
  }
}
