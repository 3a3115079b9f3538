// Owned descriptors: closed exactly once, and close-on-exec from the start.

import CSystem
import Glibc

/// The owner of one open descriptor. The descriptor is closed when the owner ends.
public struct FileDescriptor: ~Copyable {
  /// The descriptor's number, borrowed: it is valid while the owner lives.
  public let raw: CInt

  /// Takes ownership of an open descriptor.
  public init(owning raw: CInt) { self.raw = raw }

  /// Takes ownership of a new descriptor and moves it above 0, 1 and 2. If this process was started
  /// without one of these, the kernel gives out that number. Other code would then use the new
  /// descriptor as standard input or output.
  init(new raw: CInt) throws(SystemError) {
    if raw > STDERR_FILENO {
      self.init(owning: raw)
      return
    }
    defer { _ = Glibc.close(raw) }
    self.init(
      owning: try check("fcntl") { fcntl(raw, F_DUPFD_CLOEXEC, STDERR_FILENO + 1) })
  }

  deinit { _ = Glibc.close(raw) }

  /// Gives up ownership without closing the descriptor.
  public consuming func release() -> CInt {
    let raw = raw
    discard self
    return raw
  }
}

extension FileDescriptor {
  /// Closes the descriptor in children that other code in this process forks. Children that call
  /// exec close it in any case.
  ///
  /// - Parameter isWithheld: set it to false before the descriptor is closed, because its number
  ///   may be reused
  public borrowing func withholdFromForks(_ isWithheld: Bool) {
    csystem_withhold_from_forks(raw, isWithheld ? 1 : 0)
  }

  /// Opens a file (open(2)).
  ///
  /// - Parameters:
  ///   - path: relative to `directory`
  ///   - directory: a directory's descriptor, or `AT_FDCWD`
  ///   - flags: `O_CLOEXEC` is added
  ///   - mode: the permission bits of a new file
  public static func open(
    _ path: String, in directory: CInt = AT_FDCWD, _ flags: CInt, mode: mode_t = 0o600
  ) throws(SystemError) -> FileDescriptor {
    FileDescriptor(
      owning: try checkNegated("open \(path)", unsafe csystem_openat(directory, path, flags, mode)))
  }

  /// Opens a file of a directory without crossing a mount point. A file system that another user
  /// has mounted there is not asked anything and cannot pretend to belong to the owner. Symbolic
  /// links are not followed.
  ///
  /// - Parameters:
  ///   - name: in the directory
  ///   - directory: a directory's descriptor
  ///   - flags: `O_CLOEXEC` and `O_NOFOLLOW` are added
  ///   - mode: the permission bits of a new file
  /// - Throws: `EXDEV` for a mount point
  public static func open(
    _ name: String, within directory: CInt, _ flags: CInt, mode: mode_t = 0o600
  ) throws(SystemError) -> FileDescriptor {
    FileDescriptor(
      owning: try checkNegated(
        "open \(name)", unsafe csystem_open_within(directory, name, flags | O_NOFOLLOW, mode)))
  }

  /// Makes a pipe (pipe2(2)). Both ends are non-blocking.
  ///
  /// - Parameter capacity: in bytes, instead of the system's default; ignored if the user has too
  ///   many pipes (pipe(7), `pipe-user-pages-soft`)
  public static func pipe(capacity: Int? = nil) throws(SystemError) -> Pipe {
    var ends: [CInt] = [-1, -1]
    try checkNegated("pipe", unsafe csystem_pipe(&ends))
    if let capacity { _ = csystem_set_pipe_capacity(ends[0], CInt(capacity)) }
    return Pipe(reader: FileDescriptor(owning: ends[0]), writer: FileDescriptor(owning: ends[1]))
  }

  /// Makes a pipe to or from a child. This process's end is non-blocking. The child's end blocks,
  /// as programs expect of their standard streams.
  ///
  /// - Parameter end: the end that the child gets
  public static func pipe(childHas end: Pipe.End) throws(SystemError) -> Pipe {
    let pipe = try pipe()
    try (end == .reader ? pipe.reader.raw : pipe.writer.raw).setBlocking(true)
    return pipe
  }

  /// Makes a pair of connected, blocking stream sockets (socketpair(2)).
  public static func streamPair() throws(SystemError) -> StreamPair {
    var ends: [CInt] = [-1, -1]
    try check("socketpair") {
      unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends)
    }
    let right: FileDescriptor
    do throws(SystemError) { right = try FileDescriptor(new: ends[1]) } catch {
      _ = Glibc.close(ends[0])
      throw error
    }
    return StreamPair(left: try FileDescriptor(new: ends[0]), right: right)
  }

  /// Makes the descriptor non-blocking: a read that would wait returns `nil`, a write fails with
  /// `EAGAIN`.
  public func makeNonBlocking() throws(SystemError) { try raw.setBlocking(false) }

  /// Reads the bytes that are available, at most `limit`.
  ///
  /// - Returns: the bytes, empty at end of file, `nil` if a read would block
  public func read(atMost limit: Int) throws(SystemError) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: limit)
    do throws(SystemError) {
      let count = try check("read") { unsafe Glibc.read(raw, &buffer, limit) }
      return Array(buffer.prefix(count))
    } catch {
      if error.code == EAGAIN { return nil }
      throw error
    }
  }

  /// Writes all bytes. The descriptor must be blocking or have enough room.
  public func writeAll(_ bytes: [UInt8]) throws(SystemError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      rest = rest.dropFirst(
        try check("write") {
          unsafe rest.withUnsafeBytes { unsafe Glibc.write(raw, $0.baseAddress, $0.count) }
        })
    }
  }

  /// The size of a file in bytes.
  public func size() throws(SystemError) -> Int {
    var result = stat()
    try check("stat") { unsafe fstat(raw, &result) }
    return Int(result.st_size)
  }

  /// Waits for input or a hang-up.
  ///
  /// - Parameter milliseconds: the longest wait; negative: for ever
  /// - Returns: whether there is input; end of file counts as input
  public func waitReadable(milliseconds: Int) -> Bool {
    let deadline = Clock.milliseconds() + milliseconds
    let count = try? check("poll") { () -> CInt in
      let left = milliseconds < 0 ? -1 : max(0, deadline - Clock.milliseconds())
      var entry = pollfd(fd: raw, events: Int16(POLLIN), revents: 0)
      return unsafe poll(&entry, 1, CInt(left))
    }
    return count.map { $0 > 0 } ?? false
  }
}

extension FileDescriptor {
  /// The result of a wait.
  public enum Wait { case readable, late, interrupted }

  /// Waits for input, a hang-up, or a signal that asks this process to end. The thread that takes
  /// this process's signals gets the signal afterwards. To be called in the main thread.
  ///
  /// - Parameter milliseconds: the longest wait, zero or more
  public borrowing func waitInterruptibly(milliseconds: Int) -> Wait {
    switch csystem_poll_interruptibly(raw, CInt(milliseconds)) {
    case 1: .readable
    case -EINTR: .interrupted
    default: .late
    }
  }

  /// Whether both directions of a socket are closed (poll(2), `POLLHUP`).
  public borrowing func isHungUp() -> Bool {
    var entry = pollfd(fd: raw, events: 0, revents: 0)
    return unsafe poll(&entry, 1, 0) > 0 && Int32(entry.revents) & POLLHUP != 0
  }
}

extension CInt {
  /// Clears or sets `O_NONBLOCK` of an open descriptor.
  fileprivate func setBlocking(_ blocks: Bool) throws(SystemError) {
    let flags = try check("fcntl") { fcntl(self, F_GETFL) }
    let wanted = blocks ? flags & ~O_NONBLOCK : flags | O_NONBLOCK
    try check("fcntl") { fcntl(self, F_SETFL, wanted) }
  }
}

/// The two ends of pipe2(2).
@frozen public struct Pipe: ~Copyable {
  /// One of the two ends.
  public enum End: Sendable { case reader, writer }

  public let reader: FileDescriptor
  public let writer: FileDescriptor
}

/// The two ends of socketpair(2).
@frozen public struct StreamPair: ~Copyable {
  public let left: FileDescriptor
  public let right: FileDescriptor
}
