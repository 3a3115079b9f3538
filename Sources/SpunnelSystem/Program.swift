// Starting and ending other programs: an argument vector, never a shell.

import CSystem
import Glibc

/// A program to start, with all that it will find.
public struct Program {
  /// Absolute path of the executable.
  public var path: ByteString
  /// The argument vector, the program's own name first.
  public var arguments: [ByteString]
  /// `NAME=value` entries; `nil` for this process's own.
  public var environment: [ByteString]?
  /// Borrowed descriptors that become 0, 1, 2 … in the child; all others are closed there.
  public var descriptors: [CInt]
  /// Sent to the child when this process dies; 0 for none (prctl(2), `PR_SET_PDEATHSIG`).
  public var parentDeathSignal: CInt = 0
  /// Whether the child leads a session of its own, away from the terminal, or only a process group.
  public var newSession = true
  /// Whether the child may open as many files as the hard limit allows.
  public var raisesDescriptorLimit = false

  public init(
    path: String, arguments: [String], environment: [ByteString]? = nil, descriptors: [CInt]
  ) {
    self.init(
      path: ByteString(path), arguments: arguments.map { ByteString($0) }, environment: environment,
      descriptors: descriptors)
  }

  public init(
    path: ByteString, arguments: [ByteString], environment: [ByteString]?, descriptors: [CInt]
  ) {
    self.path = path
    self.arguments = arguments
    self.environment = environment
    self.descriptors = descriptors
  }

  /// Starts it.
  ///
  /// - Returns: its process id; the caller waits for it
  public func start() throws(SystemError) -> pid_t { try spawn(detached: false) }

  /// Starts it as nobody's child, to live on without this process: nobody waits for it.
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

  /// The first executable file of that name on `PATH`, as execvp(3) would find it.
  ///
  /// - Parameters:
  ///   - name: taken as it is when it contains a slash
  ///   - searchPath: directories separated by colons
  public static func find(_ name: ByteString, searchPath: ByteString) -> ByteString? {
    if name.bytes.contains(UInt8(ascii: "/")) { return name }
    let colon = UInt8(ascii: ":")
    for directory in searchPath.bytes.split(separator: colon, omittingEmptySubsequences: false) {
      let candidate = (directory.isEmpty ? "." : ByteString(bytes: directory)) + "/" + name
      if isExecutable(candidate.cString) { return candidate }
    }
    return nil
  }

  /// The same on this process's own `PATH`, for names that are text.
  public static func find(_ name: String) -> String? {
    let searchPath = Process.environment("PATH") ?? "/usr/bin:/bin"
    return find(ByteString(name), searchPath: ByteString(searchPath))?.text
  }

  /// Directories are "executable" for access(2), too.
  private static func isExecutable(_ path: [CChar]) -> Bool {
    var found = stat()
    return unsafe stat(path, &found) == 0 && found.st_mode & S_IFMT == S_IFREG
      && access(path, X_OK) == 0
  }
}

/// A NULL-terminated vector of C strings; freed with its owner.
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

/// Calls on one's own children and on this process.
public enum Process {
  /// What became of a child.
  public enum Fate: Equatable, Sendable {
    case running
    /// Its exit status, or 128 + the signal that ended it.
    case ended(Int)
  }

  /// waitpid(2) for one child, without waiting.
  public static func poll(_ child: pid_t) -> Fate {
    var status: CInt = 0
    switch try? check("waitpid", { unsafe waitpid(child, &status, WNOHANG) }) {
    case 0: return .running
    // ECHILD: somebody else in this process waited for it first, or nobody is to (`keepChildren`).
    case nil: return .ended(255)
    default: return .ended(Int(csystem_exit_code(status)))
    }
  }

  /// Whether a process is in exit(2) or gone (proc(5), the flags of /proc/PID/stat; the kernel's
  /// `PF_EXITING`). One that cannot be looked at now, for want of a descriptor, is not known to be.
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
  /// - Parameter patience: milliseconds between the two
  public static func end(group child: pid_t, patience: Int) {
    let ending = Ending(child, patience: patience)
    while !ending.advance() { usleep(2000) }
  }

  /// Which side of fork(2) one is on.
  public enum Side { case parent(pid_t), child }

  /// fork(2), for a process with one thread.
  ///
  /// - Parameter parentDeathSignal: sent to the child when this process dies; 0 for none
  public static func fork(parentDeathSignal: CInt = 0) throws(SystemError) -> Side {
    let child = try checkNegated("fork", csystem_fork(parentDeathSignal))
    return child == 0 ? .child : .parent(child)
  }

  /// Asks a process that is no child to end.
  public static func terminate(_ process: pid_t) { _ = Glibc.kill(process, SIGTERM) }

  /// The name in ps(1), at most 15 bytes.
  public static func setName(_ name: String) { unsafe csystem_set_process_name(name) }

  /// Makes the process small after its start: pages of code that are not used again are no longer
  /// resident.
  public static func releaseCode() { csystem_release_code() }

  /// The variable's value, `nil` when it is not set.
  public static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }

  /// Sets a variable of this process's environment, for one with a single thread.
  public static func setEnvironment(_ name: String, _ value: String) {
    _ = unsafe setenv(name, value, 1)
  }

  /// Takes a variable out of this process's environment, for one with a single thread.
  public static func removeEnvironment(_ name: String) { _ = unsafe unsetenv(name) }

  /// Whoever started this process may have ignored SIGCHLD, which outlives exec(2): how children end is
  /// told all the same.
  public static func keepChildren() {
    var before = sigaction()
    _ = unsafe csystem_keep_children(&before)
  }

  /// Does something as another user would, where this process is root's; seen by others as that user's
  /// (unix(7), `SO_PEERCRED`). For a process with a single thread.
  public static func acting<Value: ~Copyable>(
    as user: uid_t, _ body: () throws(SystemError) -> Value
  ) throws(SystemError) -> Value {
    guard geteuid() == 0, user != 0 else { return try body() }
    try check("act as uid \(user)") { seteuid(user) }
    defer { _ = seteuid(0) }
    return try body()
  }

  /// Whatever this process creates is for its user alone, whatever umask it was started with.
  public static func keepFilesPrivate() { _ = umask(0o077) }
}
