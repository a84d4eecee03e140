/**
 * What the samples' benchmarks share: random tokens, the sides that are compared, and what is read of times, memory and
 * stacks. Calls the samples' models, the plugin, DL4J and ND4J.
 */
package io.github.dl4jretention.samples.benchmark;
