// Specs, forwards and nodes in few words.

import Glibc
import SpunnelSystem
import Testing

@testable import SpunnelKeeper
@testable import SpunnelSlurm
@testable import SpunnelTunnel

/// Names separated by commas.
func nodes(_ text: String = "n1") throws -> [NodeName] { try #require(NodeName.list(text)) }

func node(_ text: String = "n1") throws -> NodeName { try #require(NodeName(text)) }

func host(_ text: String) throws -> HostName { try #require(HostName(text)) }

/// The forwards of a spec, as step 17.0 of alice makes them.
func forwards(
  _ spec: String, nodes names: String = "n1", anywhere: Bool = true
) throws -> [Forward] {
  let facts = StepFacts(
    step: StepName(job: 17, step: 0), nodes: try nodes(names), user: "alice")
  return Array(try TunnelSpec(spec).plan(facts, anywhere: anywhere).joined())
}

func forward(_ spec: String, nodes names: String = "n1") throws -> Forward {
  try #require(try forwards(spec, nodes: names).first)
}

func routes(_ spec: String, nodes names: String = "n1") throws -> [Route] {
  try forwards(spec, nodes: names).map { Route($0) }
}

/// A port of a host as a service.
///
/// - Parameter name: `localhost` is the far host itself
func service(_ port: UInt16, of name: String = "localhost") throws -> Service {
  Service(host: try host(name), end: .port(try #require(Port(port))))
}

extension ServiceSockets {
  /// Whether a connection to a service is taken.
  func leads(to service: Service) throws -> Bool {
    let connection = try connect(service)
    return connection != nil
  }

  /// A connection to a service, at the test's end.
  func client(of service: Service) throws -> End {
    guard let connection = try connect(service) else { throw SystemError("connect", ENOENT) }
    return try End(connection)
  }
}
