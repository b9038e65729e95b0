package io.spillway.valve;

import org.apache.flink.streaming.api.datastream.DataStream;

/**
 * What comes out of a valve.
 *
 * @param <T> type of the records
 * @param local the local lane: process it as if there were no valve
 * @param ledger receipts and books, one line of JSON each: write it to {@code ledger/} with an
 *     exactly-once sink. It is never chained to the valve, so that a slow sink cannot stall it
 * @param late records whose window was closed already: in neither lane, counted in the books
 */
public record ValveStreams<T>(DataStream<T> local, DataStream<String> ledger, DataStream<T> late) {}
