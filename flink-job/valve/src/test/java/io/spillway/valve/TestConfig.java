package io.spillway.valve;

import java.time.Duration;
import org.apache.flink.configuration.Configuration;

/** Settings for tests. */
final class TestConfig {

  private TestConfig() {}

  static Configuration options() {
    Configuration options = new Configuration();
    options.set(ValveOptions.JOB, "wordcount");
    options.set(ValveOptions.WORKLOAD, "wordcount");
    options.set(ValveOptions.SIDECAR_URL, "http://127.0.0.1:1");
    options.set(ValveOptions.BATCH_LINGER, Duration.ofMillis(100));
    options.set(ValveOptions.BATCH_DEADLINE, Duration.ofSeconds(5));
    return options;
  }

  static ValveConfig config() {
    return ValveConfig.of("valve", options());
  }
}
