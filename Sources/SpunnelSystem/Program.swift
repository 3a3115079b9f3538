// Starting and ending other programs: with an argument vector, never through a shell.

import CSystem
import Glibc

/// A program to start, with its arguments, environment and descriptors.
public struct Program {
  /// The absolute path of the executable.
  public var path: ByteString
  /// The argument vector, starting with the program's name.
  public var arguments: [ByteString]
  /// `NAME=value` entries; `nil` for this process's own environment.
  public var environment: [ByteString]?
  /// Borrowed descriptors that become 0, 1, 2 … in the child. All others are closed there.
  public var descriptors: [CInt]
  /// The signal that the child gets when this process dies; 0 for none (prctl(2),
  /// `PR_SET_PDEATHSIG`).
  public var parentDeathSignal: CInt = 0
  /// Whether the child leads its own session, without a terminal; `false`: it leads only a process
  /// group.
  public var newSession = true
  /// Whether the child may open as many files as the hard limit allows.
  public var raisesDescriptorLimit = false

  /// Describes a program by text. The parameters are those of the properties.
  public init(
    path: String, arguments: [String], environment: [ByteString]? = nil, descriptors: [CInt]
  ) {
    self.init(
      path: ByteString(path), arguments: arguments.map { ByteString($0) }, environment: environment,
      descriptors: descriptors)
  }

  /// Describes a program by bytes. The parameters are those of the properties.
  public init(
    path: ByteString, arguments: [ByteString], environment: [ByteString]?, descriptors: [CInt]
  ) {
    self.path = path
    self.arguments = arguments
    self.environment = environment
    self.descriptors = descriptors
  }

  /// Starts the program.
  ///
  /// - Returns: the process id; the caller must wait for it
  public func start() throws(SystemError) -> pid_t { try spawn(detached: false) }

  /// Starts the program so that it outlives this process and need not be waited for.
  public func startDetached() throws(SystemError) { _ = try spawn(detached: true) }

  private func spawn(detached: Bool) throws(SystemError) -> pid_t {
    let argv = CStringVector(arguments)
    let given = CStringVector(environment ?? [])
    let child: pid_t = unsafe path.cString.withUnsafeBufferPointer { path in
      unsafe descriptors.withUnsafeBufferPointer { descriptors in
        guard let path = path.baseAddress, let first = descriptors.baseAddress else {
          return -EINVAL
        }
        let envp =
          unsafe environment == nil ? UnsafePointer(environ) : UnsafePointer(given.pointers)
        var program = unsafe csystem_program(
          path: path, argv: argv.pointers, envp: envp, descriptors: first,
          descriptor_count: descriptors.count, parent_death_signal: parentDeathSignal,
          new_session: newSession ? 1 : 0, detached: detached ? 1 : 0,
          raise_descriptor_limit: raisesDescriptorLimit ? 1 : 0)
        return unsafe csystem_spawn(&program)
      }
    }
    return try checkNegated("start \(path.text)", child)
  }

  /// The first executable file of that name in the search path, as execvp(3) would find it.
  ///
  /// - Parameters:
  ///   - name: returned unchanged if it contains a slash
  ///   - searchPath: directories, separated by colons
  public static func find(_ name: ByteString, searchPath: ByteString) -> ByteString? {
    if name.bytes.contains(UInt8(ascii: "/")) { return name }
    let colon = UInt8(ascii: ":")
    for directory in searchPath.bytes.split(separator: colon, omittingEmptySubsequences: false) {
      let candidate = (directory.isEmpty ? "." : ByteString(bytes: directory)) + "/" + name
      if isExecutable(candidate.cString) { return candidate }
    }
    return nil
  }

  /// The first executable file of that name in this process's `PATH`.
  public static func find(_ name: String) -> String? {
    let searchPath = Process.environment("PATH") ?? "/usr/bin:/bin"
    return find(ByteString(name), searchPath: ByteString(searchPath))?.text
  }

  /// Whether a path is an executable regular file. access(2) also calls directories executable.
  private static func isExecutable(_ path: [CChar]) -> Bool {
    var found = stat()
    return unsafe stat(path, &found) == 0 && found.st_mode & S_IFMT == S_IFREG
      && access(path, X_OK) == 0
  }
}

/// A NULL-terminated vector of C strings. It is freed with its owner.
@safe struct CStringVector: ~Copyable {
  let pointers: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  init(_ strings: [ByteString]) {
    count = strings.count
    unsafe pointers = .allocate(capacity: count + 1)
    for (index, string) in strings.enumerated() {
      unsafe (pointers + index).initialize(to: strdup(string.cString))
    }
    unsafe (pointers + count).initialize(to: nil)
  }

  deinit {
    for index in 0..<count { unsafe free(pointers[index]) }
    unsafe pointers.deallocate()
  }
}

/// Functions on this process and its children.
public enum Process {
  /// The state of a child.
  public enum Fate: Equatable, Sendable {
    case running
    /// The exit status, or 128 + the signal that ended it.
    case ended(Int)
  }

  /// The state of one child, without waiting (waitpid(2)).
  public static func poll(_ child: pid_t) -> Fate {
    var status: CInt = 0
    switch try? check("waitpid", { unsafe waitpid(child, &status, WNOHANG) }) {
    case 0: return .running
    // ECHILD: other code in this process has waited for it first, or SIGCHLD is ignored
    // (`keepChildren`).
    case nil: return .ended(255)
    default: return .ended(Int(csystem_exit_code(status)))
    }
  }

  /// Whether a process is exiting or gone (proc(5), the flags of /proc/PID/stat; the kernel's
  /// `PF_EXITING`). If no descriptor is free to look, the answer is false.
  public static func isExiting(_ process: pid_t) -> Bool {
    do throws(SystemError) {
      let file = try FileDescriptor.open("/proc/\(process)/stat", O_RDONLY)
      let fields = ProcessTable.fields(stat: try file.read(atMost: 1024) ?? [])
      guard fields.count > 6, let flags = UInt32(fields[6]) else { return false }
      return flags & 0x4 != 0
    } catch { return [ENOENT, ESRCH].contains(error.code) }
  }

  /// Ends a child that leads its own process group, and waits for it: TERM, a bounded wait, KILL.
  ///
  /// - Parameter patience: milliseconds between TERM and KILL
  public static func end(group child: pid_t, patience: Int) {
    let ending = Ending(child, patience: patience)
    while !ending.advance() { usleep(2000) }
  }

  /// The side of fork(2) on which the code runs.
  public enum Side { case parent(pid_t), child }

  /// Forks a process with one thread (fork(2)).
  ///
  /// - Parameter parentDeathSignal: the signal that the child gets when this process dies; 0 for
  ///   none
  public static func fork(parentDeathSignal: CInt = 0) throws(SystemError) -> Side {
    let child = try checkNegated("fork", csystem_fork(parentDeathSignal))
    return child == 0 ? .child : .parent(child)
  }

  /// Sends TERM to a process that is not a child.
  public static func terminate(_ process: pid_t) { _ = Glibc.kill(process, SIGTERM) }

  /// Sets the name that ps(1) shows, at most 15 bytes.
  public static func setName(_ name: String) { unsafe csystem_set_process_name(name) }

  /// Reduces the resident memory of this process after its start: code pages are released and
  /// return only when they are used again.
  public static func releaseCode() { csystem_release_code() }

  /// The value of an environment variable; `nil` if it is not set.
  public static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }

  /// Sets an environment variable of this process. The process must have a single thread.
  public static func setEnvironment(_ name: String, _ value: String) {
    _ = unsafe setenv(name, value, 1)
  }

  /// Removes an environment variable of this process. The process must have a single thread.
  public static func removeEnvironment(_ name: String) { _ = unsafe unsetenv(name) }

  /// Makes sure that the exit of children can be waited for. The process that started this one may
  /// have ignored SIGCHLD, which survives exec(2).
  public static func keepChildren() {
    var before = sigaction()
    _ = unsafe csystem_keep_children(&before)
  }

  /// Runs a function with another user's effective uid, if this process belongs to root. Other
  /// processes see that user (unix(7), `SO_PEERCRED`). The process must have a single thread.
  public static func acting<Value: ~Copyable>(
    as user: uid_t, _ body: () throws(SystemError) -> Value
  ) throws(SystemError) -> Value {
    guard geteuid() == 0, user != 0 else { return try body() }
    try check("act as uid \(user)") { seteuid(user) }
    defer { _ = seteuid(0) }
    return try body()
  }

  /// Makes new files accessible to their user only, regardless of the inherited umask.
  public static func keepFilesPrivate() { _ = umask(0o077) }
}
