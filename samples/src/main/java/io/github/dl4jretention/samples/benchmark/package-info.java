/**
 * What the benchmarks share: networks and random tokens of a size, the ways to train that are compared, an output layer
 * alone, and the memory of a process. Calls the samples' models, dl4j-retention, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.samples.benchmark;

import org.jspecify.annotations.NullMarked;
