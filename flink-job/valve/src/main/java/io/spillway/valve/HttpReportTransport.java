package io.spillway.valve;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.MalformedURLException;
import java.net.Proxy;
import java.net.URI;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * Reports over HTTP: {@code POST /v1/jobs/{job}/valves/{valve}/{subtask}}.
 *
 * <p>Blocking, one at a time, in a thread of its own: ten times a second it runs beside the job,
 * and the asynchronous client that takes batches costs several times as much processor time for it.
 */
final class HttpReportTransport implements ReportTransport {

  /** An answer that takes longer is of no use: the next report says more. */
  static final Duration TIMEOUT = Duration.ofSeconds(1);

  /** A directive has a few hundred bytes. */
  private static final int MAX_ANSWER_BYTES = 64 << 10;

  /** So much of an error's body is told. */
  private static final int MAX_ERROR_CHARS = 300;

  private final Executor executor;
  private final Duration timeout;
  private final URL url;
  private final ValveConfig config;

  /**
   * Makes a transport; nothing is connected yet.
   *
   * @param executor one thread that may block
   * @param timeout after which an answer is given up
   */
  HttpReportTransport(
      Executor executor, Duration timeout, ValveConfig config, ValveIdentity identity) {
    this.executor = executor;
    this.timeout = timeout;
    this.config = config;
    URI uri =
        URI.create(
            config.sidecar()
                + "/v1/jobs/"
                + config.job()
                + "/valves/"
                + config.valve()
                + "/"
                + identity.subtask());
    try {
      this.url = uri.toURL();
    } catch (MalformedURLException e) {
      throw new IllegalStateException("The configuration let a URL pass that is none: " + uri, e);
    }
  }

  @Override
  public CompletableFuture<byte[]> post(byte[] report) {
    CompletableFuture<byte[]> answer = new CompletableFuture<>();
    try {
      HttpURLConnection connection = (HttpURLConnection) url.openConnection(Proxy.NO_PROXY);
      executor.execute(
          () -> {
            try {
              answer.complete(exchange(connection, report));
            } catch (IOException | RuntimeException e) {
              answer.completeExceptionally(e);
            }
          });
      // The connection's own time-outs are for one read each; this one is for the whole answer.
      return answer
          .orTimeout(timeout.toNanos(), TimeUnit.NANOSECONDS)
          .whenComplete(
              (body, failure) -> {
                if (failure != null) {
                  connection.disconnect();
                }
              });
    } catch (IOException | RejectedExecutionException e) {
      return CompletableFuture.failedFuture(e);
    }
  }

  private byte[] exchange(HttpURLConnection connection, byte[] report) throws IOException {
    int millis = (int) timeout.toMillis();
    connection.setConnectTimeout(millis);
    connection.setReadTimeout(millis);
    connection.setInstanceFollowRedirects(false);
    connection.setUseCaches(false);
    connection.setRequestMethod("POST");
    connection.setDoOutput(true);
    // Also keeps the connection from sending a report twice by itself.
    connection.setFixedLengthStreamingMode(report.length);
    connection.setRequestProperty("Content-Type", "application/json");
    if (config.token() != null) {
      connection.setRequestProperty("Authorization", "Bearer " + config.token());
    }
    try (OutputStream out = connection.getOutputStream()) {
      out.write(report);
    }
    int status = connection.getResponseCode();
    // Reading it to its end lets the connection be used again.
    byte[] body = readAll(status < 400 ? connection.getInputStream() : connection.getErrorStream());
    if (status != 200) {
      String text = new String(body, StandardCharsets.UTF_8).strip();
      throw new IOException(
          "status " + status + ": " + text.substring(0, Math.min(text.length(), MAX_ERROR_CHARS)));
    }
    return body;
  }

  private static byte[] readAll(InputStream in) throws IOException {
    if (in == null) {
      return new byte[0];
    }
    try (in) {
      byte[] body = in.readNBytes(MAX_ANSWER_BYTES + 1);
      if (body.length > MAX_ANSWER_BYTES) {
        throw new IOException("the answer has more than " + MAX_ANSWER_BYTES + " bytes");
      }
      return body;
    }
  }
}
