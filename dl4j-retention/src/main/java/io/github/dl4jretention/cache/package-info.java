/**
 * The teacher's distributions on disk: written once, read through a memory map on any later epoch, run or sweep. Calls the
 * teacher package, the loss package, DL4J and ND4J.
 */
package io.github.dl4jretention.cache;
