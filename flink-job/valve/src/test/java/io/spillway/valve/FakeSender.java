package io.spillway.valve;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** Remembers what is sent, and answers what the test says when the test says it. */
final class FakeSender implements BatchSender {

  /** One send. */
  record Sent(String id, DecodedBatch batch, Duration deadline, CompletableFuture<Answer> answer) {

    void settle() {
      reply(200, batch.receipt());
    }

    void refuse() {
      reply(422, "");
    }

    void reply(int status, String body) {
      answer.complete(new Answer(status, body.getBytes(StandardCharsets.UTF_8), null));
    }

    void replyAfter(int status, Duration retryAfter) {
      answer.complete(new Answer(status, new byte[0], retryAfter));
    }

    void fail() {
      answer.completeExceptionally(new java.io.IOException("connection reset"));
    }
  }

  final List<Sent> sent = new ArrayList<>();
  Consumer<Sent> onSend = send -> {};
  boolean closed;

  @Override
  public CompletableFuture<Answer> send(String id, byte[] message, Duration deadline) {
    Sent send = new Sent(id, DecodedBatch.of(message), deadline, new CompletableFuture<>());
    sent.add(send);
    onSend.accept(send);
    return send.answer();
  }

  /** The last send. */
  Sent last() {
    return sent.get(sent.size() - 1);
  }

  @Override
  public void close() {
    closed = true;
  }
}
