/**
 * The teacher's distributions on disk: written once, read through a memory map on any later epoch, run or sweep. Calls
 * the teacher, loss and internal packages, DL4J and ND4J.
 */
package io.github.dl4jretention.cache;
