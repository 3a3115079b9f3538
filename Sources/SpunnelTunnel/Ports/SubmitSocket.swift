// Submit ends, bound and listening: ports on both loopback addresses, and unix sockets.

import Glibc
import SpunnelSystem

/// One listening socket of a submit end.
public final class SubmitSocket {
  public let descriptor: FileDescriptor
  /// The file of a unix socket, removed at the end.
  private let file: SocketFile?
  /// Folders to remove after the file if they are empty.
  private let folders: [String]

  init(
    _ descriptor: consuming FileDescriptor, file: SocketFile? = nil, emptying folders: [String] = []
  ) {
    self.descriptor = descriptor
    self.file = file
    self.folders = folders
  }

  /// Stops listening, even if other processes hold copies, and removes the file.
  public func end() {
    Socket.stopListening(descriptor.raw)
    file?.remove()
    for folder in folders { _ = unsafe rmdir(folder) }
  }

  /// Whether it is a unix socket.
  var isPath: Bool { file != nil }

  /// Stops listening and keeps the port bound: clients are refused, and no other process can bind
  /// it.
  func rest() {
    Socket.keepBound(descriptor.raw)
    Socket.stopListening(descriptor.raw)
  }

  /// Listens again.
  func wake() throws(SystemError) { try Socket.listenAgain(descriptor.raw) }

  /// Binds a port on 127.0.0.1 and ::1, or on the one that the host has.
  ///
  /// - Parameters:
  ///   - port: the port
  ///   - stateDirectory: the absolute path of `state_dir=`, where the holder of a busy port is
  ///     looked up
  /// - Throws: `own` when another tunnel of this user holds the port, `busy` when another process
  ///   does
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
    // The kernel chooses a port that is free on one address; it may be in use on the other.
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

  /// Whether a bind failed because this host lacks the address.
  private static func isAbsent(_ error: SystemError) -> Bool {
    error.code == EADDRNOTAVAIL || error.code == EAFNOSUPPORT
  }

  /// Binds a unix socket for this user alone. If a crash left the user's own socket there and no
  /// process listens on it, it is replaced.
  static func bind(
    path: String, emptying folders: [String] = []
  ) throws(SubmitError) -> SubmitSocket {
    try verifyPlace(of: path)
    do throws(SystemError) {
      return SubmitSocket(try listen(path), file: SocketFile(path), emptying: folders)
    } catch { throw unbound(path, error) }
  }

  /// Checks that a unix socket can be bound, without making one.
  ///
  /// - Throws: the reason why it cannot
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

  /// Refuses a path that another user can change: that user could replace the socket and read what
  /// the user's programs send.
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

/// The file of a socket, identified by device and inode. A different file at the same path is left
/// alone.
struct SocketFile {
  private let path: String
  private let device: dev_t
  private let inode: ino_t

  /// - Returns: `nil` when there is no file at the path
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

  /// Whether the file is a socket of this user.
  static func isOwn(_ path: String) -> Bool {
    look(path).map { $0.st_mode & S_IFMT == S_IFSOCK && $0.st_uid == getuid() } ?? false
  }

  /// Whether the file is a socket of this user that refuses connections.
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
