/**
 * Trainings that survive a crash: checkpoints that say what made them, and the run that writes them and resumes from
 * them. Calls the listener, teacher, loss and internal packages, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.checkpoint;

import org.jspecify.annotations.NullMarked;
