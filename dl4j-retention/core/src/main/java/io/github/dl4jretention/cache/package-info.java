/**
 * A teacher's predictions on disk: written once, then read through a memory map in every later epoch, run or sweep.
 * Calls the teacher, loss and internal packages, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.cache;

import org.jspecify.annotations.NullMarked;
