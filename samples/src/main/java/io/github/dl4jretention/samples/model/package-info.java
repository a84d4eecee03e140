/**
 * The samples' language models, an LSTM and a transformer, byte-level by default, and how they are saved with a note of
 * what made them. Calls DL4J and, for a network's hash, the library's teacher package.
 */
@NullMarked
package io.github.dl4jretention.samples.model;

import org.jspecify.annotations.NullMarked;
