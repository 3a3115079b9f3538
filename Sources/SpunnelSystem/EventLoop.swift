// An event loop with one thread and one epoll(7): handlers of descriptors, timers, and postponed
// work.

import CSystem
import Glibc

/// The events that a descriptor is watched for, and the events that have happened.
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  public static let input = Readiness(rawValue: EPOLLIN.rawValue)
  public static let output = Readiness(rawValue: EPOLLOUT.rawValue)
  /// Urgent data of TCP (tcp(7)) has arrived and is not read past yet.
  public static let urgent = Readiness(rawValue: EPOLLPRI.rawValue)
  /// The peer has sent end of file.
  public static let peerClosed = Readiness(rawValue: EPOLLRDHUP.rawValue)
  public static let error = Readiness(rawValue: EPOLLERR.rawValue)
  public static let hangUp = Readiness(rawValue: EPOLLHUP.rawValue)
  /// Edge-triggered: an event is reported once for each change, so the handler works until a call
  /// would block.
  public static let edges = Readiness(rawValue: EPOLLET.rawValue)
}

/// Receives the events of a descriptor.
public protocol EventHandler: AnyObject {
  /// Handles events.
  ///
  /// - Parameters:
  ///   - descriptor: the descriptor that was registered
  ///   - readiness: what has happened
  func handle(_ descriptor: CInt, _ readiness: Readiness)
}

/// An epoll instance with its handlers and timers. It is not thread-safe: one loop belongs to one
/// thread.
@safe public final class EventLoop {
  /// Identifies one timer.
  public struct Timer: Hashable { fileprivate let number: UInt64 }

  /// The registration of one descriptor number; `handler` is `nil` while it is not watched.
  private struct Registration {
    /// The number of the registration. A descriptor may be closed and its number reused while
    /// events of the old one are already fetched. Such an event has the old generation and is
    /// dropped.
    var generation: UInt32 = 0
    var handler: (any EventHandler)?
  }

  /// The most events that one epoll_wait(2) fetches.
  private static let mostEvents = 128

  private let epoll: FileDescriptor
  /// Indexed by descriptor. The kernel gives out the lowest free number, so the array stays short.
  private var registrations: [Registration] = []
  private var events = unsafe [epoll_event](repeating: epoll_event(), count: EventLoop.mostEvents)
  private var timers: [(due: Int, timer: Timer, action: () -> Void)] = []
  private var later: [() -> Void] = []
  private var lastTimer: UInt64 = 0
  private var stopped = false
  /// The number of turns so far. A handler can compare it to see whether it was also called in the
  /// turn before.
  public private(set) var turns: UInt64 = 0

  /// Makes an epoll instance that watches nothing yet.
  public init() throws(SystemError) {
    epoll = FileDescriptor(
      owning: try check("epoll_create1") { epoll_create1(CInt(EPOLL_CLOEXEC)) })
  }

  /// Watches a descriptor until `remove` or `forget`. The loop keeps the handler alive until then.
  public func add(
    _ descriptor: CInt, _ readiness: Readiness, _ handler: any EventHandler
  ) throws(SystemError) {
    let index = Int(descriptor)
    while registrations.count <= index { registrations.append(Registration()) }
    registrations[index].generation &+= 1
    try control(EPOLL_CTL_ADD, descriptor, readiness)
    registrations[index].handler = handler
  }

  /// Changes what a descriptor is watched for. Events that are ready now are reported again, even
  /// edge-triggered ones.
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

  /// Stops watching a descriptor that the caller closes next and of which no copy exists. The close
  /// removes it from the epoll instance (epoll(7), questions and answers), which saves a system
  /// call.
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

  /// Stops watching for a while. Without the pause, input that cannot be taken now would be
  /// reported again at once.
  ///
  /// - Parameters:
  ///   - milliseconds: until it is watched again; if that fails, until the next attempt
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

  /// Runs an action once, after at least `milliseconds`.
  ///
  /// - Returns: the timer, for `cancel`
  @discardableResult
  public func after(milliseconds: Int, _ action: @escaping () -> Void) -> Timer {
    lastTimer += 1
    let timer = Timer(number: lastTimer)
    timers.append((Clock.milliseconds() + milliseconds, timer, action))
    return timer
  }

  /// Cancels a timer. A timer that has already run is not an error.
  public func cancel(_ timer: Timer?) {
    guard let timer else { return }
    timers.removeAll { $0.timer == timer }
  }

  /// Runs an action after the other descriptors have had their turn.
  public func postpone(_ action: @escaping () -> Void) { later.append(action) }

  /// Makes `run` return after the handlers of this turn.
  public func stop() { stopped = true }

  /// Runs turns until `stop` is called.
  public func run() throws(SystemError) {
    while !stopped { try turn(milliseconds: -1) }
  }

  /// Waits once for events, then runs the handlers and timers that are due.
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

  /// Milliseconds until the next timer, at most `limit`.
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
