/** A sweep as a page and as pictures. Calls the sweep's outcome, spaces and tasks. */
package io.github.dl4jretention.sweep.report;
