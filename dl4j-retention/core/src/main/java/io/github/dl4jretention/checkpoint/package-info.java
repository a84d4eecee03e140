/**
 * Finetuning runs that survive a crash: checkpoints with the provenance of what made them, and the run that writes them
 * and goes on from them. A checkpoint is read through Java's heap: no entry, parameters or updater's state, may be
 * above 2 GB. Calls the listener, teacher, loss and internal packages, DL4J and ND4J.
 */
package io.github.dl4jretention.checkpoint;
