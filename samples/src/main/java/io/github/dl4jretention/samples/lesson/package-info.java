/**
 * Texts from which a small model learns what can be asked: facts, small skills, worked problems and instructions, all made
 * from tables and seeds, with questions that none of the texts has. Calls no other package of the samples.
 */
@NullMarked
package io.github.dl4jretention.samples.lesson;

import org.jspecify.annotations.NullMarked;
