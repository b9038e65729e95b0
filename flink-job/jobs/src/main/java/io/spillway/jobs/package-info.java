/** The Flink jobs that ship with Spillway. */
package io.spillway.jobs;
