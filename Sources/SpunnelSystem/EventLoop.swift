// One thread, one epoll(7): handlers of descriptors, timers, and work left for later.

import CSystem
import Glibc

/// What a descriptor is watched for, and what happened to it.
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let input = Readiness(rawValue: EPOLLIN.rawValue)
  public static let output = Readiness(rawValue: EPOLLOUT.rawValue)
  /// TCP's urgent data (tcp(7)) is there and was not passed yet.
  public static let urgent = Readiness(rawValue: EPOLLPRI.rawValue)
  /// The peer sent end of file.
  public static let peerClosed = Readiness(rawValue: EPOLLRDHUP.rawValue)
  public static let error = Readiness(rawValue: EPOLLERR.rawValue)
  public static let hangUp = Readiness(rawValue: EPOLLHUP.rawValue)
  /// Report changes only: the handler works until a call would block.
  public static let edges = Readiness(rawValue: EPOLLET.rawValue)
}

/// Whoever is told about a descriptor.
public protocol EventHandler: AnyObject {
  /// - Parameters:
  ///   - descriptor: the one that was registered
  ///   - readiness: what it is ready for
  func handle(_ descriptor: CInt, _ readiness: Readiness)
}

/// An epoll instance with its handlers and timers. Not thread-safe: one loop, one thread.
@safe public final class EventLoop {
  /// Names one timer.
  public struct Timer: Hashable { fileprivate let number: UInt64 }

  /// What a descriptor is watched by; `handler` is `nil` while nobody watches it.
  private struct Registration {
    /// A number of its own and not the descriptor's: an event that was already fetched for a
    /// descriptor closed a moment ago must not reach the one that took its place.
    var generation: UInt32 = 0
    var handler: (any EventHandler)?
  }

  /// Events that one epoll_wait(2) fetches.
  private static let mostEvents = 128

  private let epoll: FileDescriptor
  /// By descriptor: the kernel gives out the lowest free number, so the array stays short.
  private var registrations: [Registration] = []
  private var events = unsafe [epoll_event](repeating: epoll_event(), count: EventLoop.mostEvents)
  private var timers: [(due: Int, timer: Timer, action: () -> Void)] = []
  private var later: [() -> Void] = []
  private var lastTimer: UInt64 = 0
  private var stopped = false
  /// Counts the turns: a handler sees whether it was called in the turn before as well.
  public private(set) var turns: UInt64 = 0

  public init() throws(SystemError) {
    epoll = FileDescriptor(
      owning: try check("epoll_create1") { epoll_create1(CInt(EPOLL_CLOEXEC)) })
  }

  /// Watches a descriptor until `remove` or `forget`; the loop keeps the handler alive so long.
  public func add(
    _ descriptor: CInt, _ readiness: Readiness, _ handler: any EventHandler
  ) throws(SystemError) {
    let index = Int(descriptor)
    while registrations.count <= index { registrations.append(Registration()) }
    registrations[index].generation &+= 1
    try control(EPOLL_CTL_ADD, descriptor, readiness)
    registrations[index].handler = handler
  }

  /// Watches a descriptor that is watched already for something else. What is ready by now is
  /// reported again, edges or not.
  public func change(_ descriptor: CInt, _ readiness: Readiness) throws(SystemError) {
    try control(EPOLL_CTL_MOD, descriptor, readiness)
  }

  private func control(
    _ operation: CInt, _ descriptor: CInt, _ readiness: Readiness
  ) throws(SystemError) {
    let token = UInt64(registrations[Int(descriptor)].generation) << 32 | UInt64(descriptor)
    var event = unsafe epoll_event(events: readiness.rawValue, data: epoll_data_t(u64: token))
    try check("epoll_ctl") { unsafe epoll_ctl(epoll.raw, operation, descriptor, &event) }
  }

  /// Stops watching a descriptor that stays open, or of which another process may hold a copy.
  public func remove(_ descriptor: CInt) {
    if !forget(descriptor) { return }
    var event = unsafe epoll_event()
    _ = unsafe epoll_ctl(epoll.raw, EPOLL_CTL_DEL, descriptor, &event)
  }

  /// Stops watching a descriptor that is closed next and that nobody holds a copy of: closing it takes
  /// it out of the epoll instance (epoll(7), questions and answers), without a call for that.
  ///
  /// - Returns: whether it was watched
  @discardableResult
  public func forget(_ descriptor: CInt) -> Bool {
    guard registrations.indices.contains(Int(descriptor)),
      registrations[Int(descriptor)].handler != nil
    else { return false }
    registrations[Int(descriptor)].handler = nil
    return true
  }

  /// Stops watching for a while: what cannot be taken now would be reported again at once, for nothing.
  ///
  /// - Parameters:
  ///   - milliseconds: until it is watched again, and until the next attempt if that fails
  ///   - isWanted: whether it is to be watched again
  public func rest(
    _ descriptor: CInt, milliseconds: Int, _ readiness: Readiness, _ handler: any EventHandler,
    while isWanted: @escaping () -> Bool
  ) {
    remove(descriptor)
    after(milliseconds: milliseconds) { [weak self, weak handler] in
      guard let self, let handler, isWanted() else { return }
      do throws(SystemError) { try self.add(descriptor, readiness, handler) } catch {
        self.rest(
          descriptor, milliseconds: milliseconds, readiness, handler, while: isWanted)
      }
    }
  }

  /// Runs an action once, after at least so many milliseconds.
  @discardableResult
  public func after(milliseconds: Int, _ action: @escaping () -> Void) -> Timer {
    lastTimer += 1
    let timer = Timer(number: lastTimer)
    timers.append((Clock.milliseconds() + milliseconds, timer, action))
    return timer
  }

  /// Forgets a timer; one that has run already is no error.
  public func cancel(_ timer: Timer?) {
    guard let timer else { return }
    timers.removeAll { $0.timer == timer }
  }

  /// Runs an action after the other descriptors have had their turn.
  public func postpone(_ action: @escaping () -> Void) { later.append(action) }

  /// Makes `run` return after the handlers of this turn.
  public func stop() { stopped = true }

  /// Turns until `stop`.
  public func run() throws(SystemError) {
    while !stopped { try turn(milliseconds: -1) }
  }

  /// Waits once, runs what is due.
  ///
  /// - Parameter milliseconds: the longest wait; negative: for ever
  public func turn(milliseconds: Int) throws(SystemError) {
    turns &+= 1
    let wait = timeToNext(atMost: milliseconds)
    let count = try check("epoll_wait") {
      unsafe epoll_wait(epoll.raw, &events, CInt(EventLoop.mostEvents), CInt(wait))
    }
    for index in 0..<Int(count) {
      let (token, ready) = unsafe (events[index].data.u64, events[index].events)
      let descriptor = CInt(truncatingIfNeeded: token)
      let registration = registrations[Int(descriptor)]
      guard let handler = registration.handler,
        registration.generation == UInt32(truncatingIfNeeded: token >> 32)
      else { continue }
      handler.handle(descriptor, Readiness(rawValue: ready))
    }
    runTimers()
    let work = later
    later.removeAll(keepingCapacity: true)
    for action in work { action() }
  }

  /// Milliseconds to the next timer; the limit when there is none before.
  ///
  /// - Parameter limit: negative: for ever
  func timeToNext(atMost limit: Int) -> Int {
    if stopped || !later.isEmpty { return 0 }
    guard let next = timers.lazy.map(\.due).min() else { return limit }
    let wait = max(0, next - Clock.milliseconds())
    return limit < 0 ? wait : min(limit, wait)
  }

  private func runTimers() {
    if timers.isEmpty { return }
    let now = Clock.milliseconds()
    let due = timers.filter { $0.due <= now }
      .sorted { ($0.due, $0.timer.number) < ($1.due, $1.timer.number) }
    for entry in due where timers.contains(where: { $0.timer == entry.timer }) {
      cancel(entry.timer)
      entry.action()
    }
  }
}
