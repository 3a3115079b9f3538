// Waiting for input, whatever signals come meanwhile.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelTunnel

@Suite struct WaitTests {
  private final class Disturber {
    let waiting = pthread_self()
    let descriptor: CInt
    init(_ descriptor: CInt) { self.descriptor = descriptor }
  }

  @Test func aSignalThatIsHandledEndsNoWait() throws {
    let pair = try FileDescriptor.streamPair()
    let near = pair.left
    let far = pair.right
    var (action, before, thread) = (sigaction(), sigaction(), pthread_t())
    unsafe action.__sigaction_handler.sa_handler = { _ in }
    #expect(unsafe sigaction(SIGUSR2, &action, &before) == 0)
    defer { _ = unsafe sigaction(SIGUSR2, &before, nil) }
    let disturber = unsafe Unmanaged.passRetained(Disturber(far.raw)).toOpaque()
    let created = unsafe pthread_create(
      &thread, nil,
      { pointer in
        guard let pointer = unsafe pointer else { return nil }
        let disturber = unsafe Unmanaged<Disturber>.fromOpaque(pointer).takeRetainedValue()
        for _ in 0..<10 {
          _ = pthread_kill(disturber.waiting, SIGUSR2)
          usleep(10_000)
        }
        _ = unsafe write(disturber.descriptor, "x", 1)
        return nil
      }, disturber)
    #expect(created == 0)
    // A thread of the tests has all of them blocked.
    var (wanted, mask) = (sigset_t(), sigset_t())
    _ = unsafe (sigemptyset(&wanted), sigaddset(&wanted, SIGUSR2))
    unsafe pthread_sigmask(SIG_UNBLOCK, &wanted, &mask)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &mask, nil) }
    let isReadable = near.waitReadable(milliseconds: 60_000)
    #expect(isReadable)
    #expect(pthread_join(thread, nil) == 0)
  }
}
