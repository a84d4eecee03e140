/**
 * Start here: {@link io.github.dl4jretention.Retention} puts retention into a pretrained model and takes it out
 * again. May call every package of this library; none may call it.
 */
@NullMarked
package io.github.dl4jretention;

import org.jspecify.annotations.NullMarked;
