// Implements the contract of spunnel.h: the functions that the C plugin calls inside srun, salloc
// and sbatch.

import Glibc
import SpunnelInterface
import SpunnelSlurm
import SpunnelSystem
import SpunnelTunnel
import Synchronization

/// The only tunnel of this process. A heterogeneous job calls from a second thread.
private let running = Mutex<Slot>(Slot())

private struct Slot: ~Copyable {
  var tunnel: CommandTunnel?
}

/// Checks the spec and the arguments, and prints what is wrong with them.
@c @implementation
public func spunnel_check(
  _ spec: UnsafePointer<CChar>, _ host: UnsafePointer<spunnel_host>
) -> CInt {
  let host = unsafe HostView(host)
  return host.read(unsafe String(cString: spec), SPUNNEL_TYPED) == nil ? -1 : 0
}

/// Checks the spec and the arguments, and binds the submit ports.
@c @implementation
public func spunnel_claim(
  _ spec: UnsafePointer<CChar>, _ origin: spunnel_origin, _ host: UnsafePointer<spunnel_host>
) -> CInt {
  let host = unsafe HostView(host)
  let text = unsafe String(cString: spec)
  guard let (spec, settings) = host.read(text, origin) else { return -1 }
  // A tunnel of a batch job could not follow its job.
  if origin == SPUNNEL_SUBMITTED,
    let problem = ForeignHelper.problem(Installation(libraryFolder: host.directory))
  {
    host.voice.error("--tunnel: \(problem)")
    return -1
  }
  return running.withLock { slot in
    if let earlier = slot.tunnel?.typed {
      // Slurm calls again for each part of a heterogeneous job.
      if earlier == spec { return 0 }
      host.voice.error(
        "--tunnel: given twice, as '\(earlier)' and '\(spec)': name all pairs in one option")
      return -1
    }
    do throws(SubmitError) {
      let installation = Installation(libraryFolder: host.directory)
      do throws(SpecError) { try spec.checkNodes(settings, installation) } catch {
        throw .spec(error)
      }
      let chosen = origin == SPUNNEL_SUBMITTED ? ChosenPorts(isNode: host.isNode) : nil
      let claim = try Claim.patiently(spec, settings, choosing: chosen, installation)
      let tunnel = CommandTunnel(claim, arguments: host.arguments)
      if chosen != nil { tunnel.tellJob() }
      slot.tunnel = tunnel
      return 0
    } catch {
      // The user did not request a tunnel for this very step.
      if origin == SPUNNEL_INHERITED || origin == SPUNNEL_ENVIRONMENT {
        host.voice.info("this step has no tunnel of its own: \(error)")
        return 0
      }
      host.voice.error("--tunnel: \(error)")
      return -1
    }
  }
}

/// Starts the keeper and waits until the tunnel is ready or has failed.
@c @implementation
public func spunnel_open(
  _ job: UInt32, _ step: UInt32, _ nodes: UnsafePointer<CChar>,
  _ host: UnsafePointer<spunnel_host>
) -> CInt {
  let host = unsafe HostView(host)
  let nodes = unsafe String(cString: nodes)
  return running.withLock { slot in
    guard let tunnel = slot.tunnel else { return 0 }
    guard let nodes = NodeName.list(nodes) else {
      host.voice.error(
        "no tunnel: Slurm names the nodes '\(printable(nodes))', which are no host names")
      tunnel.close(host.voice)
      slot.tunnel = nil
      return -1
    }
    let isOpen = tunnel.open(
      StepName(job: job, step: step), nodes, directory: host.directory, host.voice)
    return isOpen ? 0 : -1
  }
}

/// Starts a keeper that waits for a batch job.
@c @implementation
public func spunnel_follow(_ job: UInt32, _ host: UnsafePointer<spunnel_host>) -> CInt {
  let host = unsafe HostView(host)
  return running.withLock { slot in
    guard let tunnel = slot.tunnel else { return 0 }
    slot.tunnel = nil
    return tunnel.follow(job, directory: host.directory, host.voice) ? 0 : -1
  }
}

/// Ends the tunnel and releases the claim.
@c @implementation
public func spunnel_close(_ host: UnsafePointer<spunnel_host>) {
  let host = unsafe HostView(host)
  running.withLock { slot in
    guard let tunnel = slot.tunnel, tunnel.process == getpid() else { return }
    tunnel.close(host.voice)
    slot.tunnel = nil
  }
}

/// A copy of the C host's data.
private struct HostView: Sendable {
  let directory: String
  let arguments: [String]
  let isNode: Bool
  let voice: Voice

  init(_ host: UnsafePointer<spunnel_host>) {
    let say = unsafe host.pointee.say
    unsafe directory = String(cString: host.pointee.directory)
    isNode = unsafe host.pointee.is_node
    var arguments: [String] = []
    if let vector = unsafe host.pointee.arguments {
      for index in 0..<Int(unsafe host.pointee.argument_count) {
        guard let word = unsafe vector[index] else { break }
        arguments.append(unsafe String(cString: word))
      }
    }
    // If an argument is given twice, the last one counts.
    self.arguments = arguments + Settings.choice()
    voice = Voice { isError, line in
      unsafe line.withCString { unsafe say(isError ? SPUNNEL_ERROR : SPUNNEL_INFO, $0) }
    }
  }

  /// Parses the spec and the arguments. Prints what is wrong with them.
  func read(_ text: String, _ origin: spunnel_origin) -> (TunnelSpec, Settings)? {
    do throws(SettingsError) {
      let settings = try Settings(arguments: arguments)
      do throws(SpecError) { return (try TunnelSpec(text), settings) } catch {
        voice.error("\(origin == SPUNNEL_ENVIRONMENT ? "SPUNNEL_TUNNEL" : "--tunnel"): \(error)")
      }
    } catch { voice.error("plugstack.conf: \(error)") }
    return nil
  }
}
