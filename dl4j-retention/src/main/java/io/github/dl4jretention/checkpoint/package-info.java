/**
 * Finetuning runs that survive a crash: checkpoints with the provenance of what made them, and the run that writes them and
 * goes on from them. Calls the listener, teacher and loss packages, DL4J and ND4J.
 */
package io.github.dl4jretention.checkpoint;
