/**
 * What a sweep can vary, as Arbiter's parameter spaces, how it draws candidates from them, and what one candidate is.
 * Calls the core's loss package, Arbiter, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.sweep.space;

import org.jspecify.annotations.NullMarked;
