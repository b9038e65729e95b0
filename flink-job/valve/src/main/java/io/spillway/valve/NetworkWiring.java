package io.spillway.valve;

import java.net.http.HttpClient;
import java.time.Duration;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ThreadFactory;
import java.util.concurrent.ThreadLocalRandom;
import javax.annotation.Nullable;
import org.apache.flink.streaming.api.graph.StreamConfig;
import org.apache.flink.streaming.runtime.tasks.StreamTask;

/** The real world: the sidecar over HTTP, the task's network buffers, the machine's clock. */
final class NetworkWiring implements ValveWiring {

  private static final long serialVersionUID = 1L;

  private static final Duration CONNECT_TIMEOUT = Duration.ofSeconds(1);

  @Override
  public ValveClock clock() {
    return ValveClock.SYSTEM;
  }

  @Override
  public int recordsPerClockReading() {
    return 64;
  }

  @Override
  public double random() {
    return ThreadLocalRandom.current().nextDouble();
  }

  @Override
  public LocalOutput localOutput(StreamTask<?, ?> task, StreamConfig operator) {
    return BufferedOutput.of(task, operator);
  }

  @Override
  public Connections connect(ValveConfig config, ValveIdentity identity, LocalOutput output) {
    return new NetworkConnections(config, identity, output);
  }

  /** One subtask's connections. Without a sidecar there is nothing to connect to. */
  private static final class NetworkConnections implements Connections {

    private final ValveConfig config;
    private final ValveIdentity identity;
    private final LocalOutput output;
    @Nullable private final HttpClient client;
    @Nullable private final ExecutorService executor;
    @Nullable private final ExecutorService reports;
    @Nullable private ControlThread control;

    NetworkConnections(ValveConfig config, ValveIdentity identity, LocalOutput output) {
      this.config = config;
      this.identity = identity;
      this.output = output;
      if (config.sidecar() == null) {
        executor = null;
        reports = null;
        client = null;
        return;
      }
      executor = Executors.newSingleThreadExecutor(threads("spillway-valve-http", identity));
      reports = Executors.newSingleThreadExecutor(threads("spillway-valve-report", identity));
      // The client's own thread lives until the client is collected: it must not hold the job's
      // classes by its context class loader.
      Thread current = Thread.currentThread();
      ClassLoader loader = current.getContextClassLoader();
      current.setContextClassLoader(ClassLoader.getSystemClassLoader());
      try {
        client =
            HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .proxy(HttpClient.Builder.NO_PROXY)
                .connectTimeout(CONNECT_TIMEOUT)
                .executor(executor)
                .build();
      } finally {
        current.setContextClassLoader(loader);
      }
    }

    @Override
    public BatchSender sender() {
      return client == null ? NoSender.INSTANCE : new HttpBatchSender(client, config);
    }

    @Override
    public void startReporting(ValveCounters counters, CoarseClock ticks, DirectiveSlot slot) {
      if (client != null) {
        Reporter reporter =
            new Reporter(
                config,
                identity,
                new HttpReportTransport(reports, HttpReportTransport.TIMEOUT, config, identity),
                output,
                counters,
                ticks,
                slot,
                ValveClock.SYSTEM);
        control = new ControlThread(reporter, threads("spillway-valve-control", identity));
      }
    }

    @Override
    public void reportFinally() {
      if (control != null) {
        control.reportFinally();
      }
    }

    @Override
    public void close() {
      if (control != null) {
        control.close();
      }
      if (executor != null) {
        executor.shutdownNow();
      }
      if (reports != null) {
        reports.shutdownNow();
      }
    }

    private static ThreadFactory threads(String name, ValveIdentity identity) {
      return task -> {
        Thread thread = new Thread(task, name + "-" + identity.subtask());
        thread.setDaemon(true);
        return thread;
      };
    }
  }
}
